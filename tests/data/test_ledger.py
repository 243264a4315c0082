import os
from pathlib import Path

import pytest

from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.errors import DataError
from tests.stage_ids import stage_id


@pytest.fixture(params=["path", "uri"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "run") if request.param == "path" else f"file://{tmp_path}/run")


def record(stage: str, position: int = 1, outputs: tuple[str, ...] = ()) -> StageRecord:
    return StageRecord(
        id=stage_id(stage),
        position=position,
        seconds=1.5,
        outputs=outputs,
        metrics={"α": 0.5, "none": None, "n": [1, 2]},
    )


def test_a_committed_record_is_read_back_as_it_was(storage: Storage):
    committed = record("mixture_00")
    Ledger(storage).commit(committed)
    assert Ledger(Storage(storage.root)).read(stage_id("mixture_00")) == committed


def test_a_stage_without_a_record_is_not_committed(storage: Storage):
    assert Ledger(storage).read(stage_id("mixture_00")) is None
    assert Ledger(storage).records() == []


def test_a_record_whose_output_is_gone_does_not_count(storage: Storage, tmp_path: Path):
    ledger = Ledger(storage)
    storage.write_text("a.txt", "a")
    storage.write_text("students/iteration_00/model.txt", "b")
    ledger.commit(record("training_00", outputs=("a.txt", "students/iteration_00")))
    assert ledger.read(stage_id("training_00")) is not None
    (tmp_path / "run" / "students" / "iteration_00" / "model.txt").unlink()
    (tmp_path / "run" / "students" / "iteration_00").rmdir()
    assert ledger.read(stage_id("training_00")) is None


def test_records_come_in_the_order_of_the_stages(storage: Storage):
    ledger = Ledger(storage)
    for position, stage in ((3, "mixture_01"), (1, "training_02"), (10, "mixture_02"), (2, "branch")):
        ledger.commit(record(stage, position))
    assert [one.stage for one in ledger.records()] == ["training_02", "branch", "mixture_01", "mixture_02"]


def test_a_stage_that_is_committed_again_has_one_record(storage: Storage):
    ledger = Ledger(storage)
    ledger.commit(record("mixture_00", 1))
    ledger.commit(record("mixture_00", 2))
    assert [one.position for one in ledger.records()] == [2]


def test_files_are_written_and_read(storage: Storage, tmp_path: Path):
    storage.write_text("deep/er/text.txt", "žluťoučký α")
    storage.write_json("one.json", {"α": [1, None]})
    assert storage.read_text("deep/er/text.txt") == "žluťoučký α"
    assert storage.read_json("one.json") == {"α": [1, None]}
    assert (tmp_path / "run" / "deep" / "er" / "text.txt").is_file()
    assert storage.exists("deep") and storage.exists("one.json") and not storage.exists("two.json")


def test_tables_are_written_and_read_one_after_the_other(storage: Storage):
    lost = {"stage": "s", "strategy": "cot", "reason": "long", "ask_id": "cot"}
    rows = [{"problem_id": str(index)} | lost for index in range(3)]
    storage.write_parquet("q/a.parquet", table("quarantine", rows[:2]))
    storage.write_parquet("q/b.parquet", table("quarantine", rows[2:]))
    assert storage.read_parquet(storage.files("q")).to_pylist() == rows
    assert storage.read_parquet("q/b.parquet", ["reason"]).to_pylist() == [{"reason": "long"}]


def test_files_of_a_folder_are_sorted_and_whole(storage: Storage, tmp_path: Path):
    for name in ("b.json", "a.json", "c.txt", "sub/d.json"):
        storage.write_text(f"folder/{name}", "{}")
    (tmp_path / "run" / "folder" / ".half.json").write_text("{")
    assert storage.files("folder", ".json") == ["folder/a.json", "folder/b.json"]
    assert storage.files("folder") == ["folder/a.json", "folder/b.json", "folder/c.txt"]
    assert storage.files("nowhere") == []


def test_no_half_written_file_is_ever_visible(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    """Looked at from the moment before a file takes its place: the old content, or none, and then the new one."""
    seen = []

    def replace(source: str, target: str) -> None:
        seen.append((storage.exists("ledger/a.json"), storage.files("ledger")))
        os.rename(source, target)

    monkeypatch.setattr("siked_ray.data.storage.os.replace", replace)
    storage.write_json("ledger/a.json", {"n": 1})
    storage.write_json("ledger/a.json", {"n": 2})
    assert seen == [(False, []), (True, ["ledger/a.json"])]
    assert storage.read_json("ledger/a.json") == {"n": 2}
    assert storage.files("ledger") == ["ledger/a.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    import pyarrow as pa

    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("to disk"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("named"), replace(*names)))
    storage.write_text("one.txt", "1")
    assert done == ["to disk", "named", "to disk"]
    storage.write_parquet_batches("two.parquet", pa.table({"a": [1]}).to_reader())
    assert done == ["to disk", "named", "to disk"] * 2


def test_a_write_that_fails_leaves_the_old_file(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    storage.write_text("ledger/a.json", "old")

    def replace(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("siked_ray.data.storage.os.replace", replace)
    with pytest.raises(OSError, match="No space"):
        storage.write_text("ledger/a.json", "new")
    assert storage.read_text("ledger/a.json") == "old"
    assert storage.files("ledger") == ["ledger/a.json"]


def test_a_missing_file_is_named(storage: Storage):
    with pytest.raises(DataError, match=r"no .*run/summary\.json"):
        storage.read_json("summary.json")


@pytest.mark.parametrize("content", ["", '{"stage": ', "[1]", "{}", b"\xff"])
def test_a_damaged_record_is_named(storage: Storage, content: str | bytes):
    storage.write_bytes("ledger/mixture_00.json", content if isinstance(content, bytes) else content.encode())
    for read in (Ledger(storage).records, lambda: Ledger(storage).read(stage_id("mixture_00"))):
        with pytest.raises(DataError, match=r"ledger/mixture_00\.json is damaged .* Restore it from a copy"):
            read()


def test_a_damaged_table_is_named(storage: Storage):
    storage.write_bytes("q/a.parquet", b"PAR1 and then nothing")
    for read in (storage.read_parquet, lambda name: list(storage.row_groups(name, "stage"))):
        with pytest.raises(DataError, match=r"q/a\.parquet is damaged"):
            read("q/a.parquet")


def test_a_file_is_no_run_directory(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("seed: 1")
    with pytest.raises(DataError, match=r"no .*run\.yaml/summary\.json: a part of that path is a file"):
        Storage(str(tmp_path / "run.yaml")).read_json("summary.json")


def test_a_folder_replaces_one_of_its_name(tmp_path: Path):
    storage = Storage(str(tmp_path / "run"))
    for content in ("old", "new"):
        source = tmp_path / content
        source.mkdir()
        (source / f"{content}.txt").write_text(content)
        storage.upload_folder(source, "students/iteration_00")
    assert storage.files("students/iteration_00") == ["students/iteration_00/new.txt"]
    assert os.listdir(tmp_path / "run" / "students") == ["iteration_00"], "nothing lies beside it"


def test_a_local_run_directory_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    storage = Storage("run")
    monkeypatch.chdir("/")
    storage.write_text("a b/c#d%20?.txt", "x")
    assert (tmp_path / "run" / "a b" / "c#d%20?.txt").read_text() == "x"
    assert storage.is_local
    assert not Storage("s3://bucket/run").is_local
    assert Storage("s3://bucket/run/").path("a.json") == "s3://bucket/run/a.json"
