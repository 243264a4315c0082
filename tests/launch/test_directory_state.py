"""Whose a run directory is, how far, and whether it can be written."""

from pathlib import Path

import pytest

from siked_ray.config import dump_config
from siked_ray.core.stage import TEACHER
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.launch.directory_state import check_run_directory, check_writable


def test_a_new_run_directory(make_config):
    config = make_config()
    assert check_run_directory(config, Storage(config.run_dir)) == "new"


def test_a_run_directory_that_was_begun_and_one_that_is_finished(make_config):
    config = make_config()
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    assert check_run_directory(config, storage) == "started"
    for status, state in (("running", "started"), ("failed", "started"), ("finished", "finished")):
        storage.write_json(names.SUMMARY, {"status": status})
        assert check_run_directory(config, storage) == state


def test_a_run_directory_of_other_settings_names_the_keys_that_differ(make_config):
    config = make_config()
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    with pytest.raises(ConfigError) as raised:
        check_run_directory(make_config("iterations.max=7", "training.lora.rank=0"), storage)
    text = str(raised.value)
    assert "iterations.max: 3 -> 7" in text
    assert "training.lora.rank: 16 -> 0" in text
    assert "seed" not in text
    assert "run_dir" in text


def test_a_run_directory_that_was_moved_is_the_same_run(make_config, tmp_path: Path):
    config = make_config()
    moved = make_config(f"run_dir={tmp_path}/moved")
    storage = Storage(moved.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    assert check_run_directory(moved, storage) == "started"


def test_stages_without_settings_are_another_runs(make_config):
    config = make_config()
    storage = Storage(config.run_dir)
    Ledger(storage).commit(StageRecord(id=TEACHER, position=1, seconds=1.0, outputs=(), metrics={}))
    with pytest.raises(ConfigError, match=r"finished stages, .* rollouts_teacher, but no config\.yaml.*run_dir"):
        check_run_directory(config, storage)


def test_a_run_directory_that_can_be_made_is_not_made(tmp_path: Path):
    check_writable(Storage(f"{tmp_path}/runs/mine"))
    check_writable(Storage("s3://bucket/runs/mine"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run_dir", ["file", "file/below/it", "link"])
def test_a_run_directory_in_the_place_of_a_file(run_dir: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=rf"run_dir .*{run_dir} cannot be a directory.*set run_dir"):
        check_writable(Storage(f"{tmp_path}/{run_dir}"))


def test_a_run_directory_of_someone_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.access", lambda path, _: path != tmp_path)
    with pytest.raises(ConfigError, match=rf"may not write to {tmp_path}; set run_dir"):
        check_writable(Storage(f"{tmp_path}/runs/mine"))
