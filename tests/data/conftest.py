"""Where the original data files lie; they are never part of the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def original() -> Callable[[str], str]:
    """Path of an original data file; skips the test where there is none."""
    folder = Path(os.environ.get("SIKED_TEST_DATA", _DEFAULT))

    def path_of(name: str) -> str:
        if not (folder / name).is_file():
            pytest.skip(f"{name} is not in {folder}; set SIKED_TEST_DATA to the folder that has it")
        return str(folder / name)

    return path_of
