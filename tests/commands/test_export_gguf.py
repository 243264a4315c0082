"""`siked export`: which student becomes the file."""

import shutil
from pathlib import Path

import pytest

from siked_ray.cli import main
from siked_ray.config import dump_config
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage


@pytest.fixture
def run(make_config, tiny_model: str) -> Storage:
    config = make_config()
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    storage.write_json(names.SUMMARY, {"best_iteration": 1})
    shutil.copytree(tiny_model, storage.path(names.student(1)))
    return storage


def test_the_best_student_of_a_run(run: Storage, tmp_path: Path, capsys):
    file = tmp_path / "best.gguf"
    assert main(["export", run.root, "-o", str(file), "--type", "q8_0"]) == 0
    assert capsys.readouterr().out.startswith(f"{file} (")
    assert file.read_bytes().startswith(b"GGUF")


def test_a_student_that_there_is_not(run: Storage, tiny_model: str, tmp_path: Path, capsys):
    assert main(["export", run.root, "--iteration", "7", "-o", str(tmp_path / "x.gguf")]) == 2
    assert "has no student of iteration 7" in capsys.readouterr().err
    assert main(["export", tiny_model, "--iteration", "1", "-o", str(tmp_path / "x.gguf")]) == 2
    assert "--iteration is of a run" in capsys.readouterr().err
    assert main(["export", tiny_model, "-o", str(tmp_path / "nowhere" / "x.gguf")]) == 2
    assert "Cannot write" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nothing"), "-o", str(tmp_path / "x.gguf")]) == 2
    assert "nothing is no model directory" in capsys.readouterr().err
