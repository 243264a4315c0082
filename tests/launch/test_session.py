"""The session before it connects to Ray."""

from pathlib import Path

import pytest

from siked_ray.errors import StageError, UserError
from siked_ray.launch.session import connected


def test_a_log_that_cannot_be_written_is_one_sentence(make_config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StageError, match="NotADirectoryError"), connected(make_config(), f"{tmp_path}/file/logs/a.log"):
        pass


def test_a_cluster_that_does_not_answer_is_one_sentence(make_config, tmp_path: Path, monkeypatch) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect\nand more")

    monkeypatch.setattr("ray.init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    sentence = r"No Ray cluster answers at RAY_ADDRESS=127.0.0.1:9 \(Failed to connect\)"
    with pytest.raises(UserError, match=sentence), connected(make_config(), f"{tmp_path}/a.log"):
        pass
