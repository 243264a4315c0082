"""The session before it connects to Ray."""

from pathlib import Path

import pytest

from siked_ray.driver.session import connected
from siked_ray.errors import StageError


def test_a_log_that_cannot_be_written_is_one_sentence(make_config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StageError, match="NotADirectoryError"), connected(make_config(), f"{tmp_path}/file/logs/a.log"):
        pass
