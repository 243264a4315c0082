"""A model on S3 (moto's server) is brought to the node once, whole, and again when it has changed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from siked_ray.data.model_folder import local_model
from siked_ray.data.storage import Storage
from siked_ray.errors import ModelError
from tests.s3_server import s3_server


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Storage]:
    monkeypatch.setenv("SIKED_CACHE", str(tmp_path / "cache"))
    with s3_server():
        yield Storage("s3://bucket/run")


@pytest.fixture
def model(tmp_path: Path, bucket: Storage) -> str:
    folder = tmp_path / "model"
    (folder / "extra").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "extra" / "weights").write_bytes(b"\x00" * 1000)
    bucket.upload_folder(folder, "students/iteration_00")
    return bucket.path("students/iteration_00")


def test_it_is_fetched_once_and_again_when_it_has_changed(model: str, bucket: Storage) -> None:
    with ThreadPoolExecutor(4) as executor:
        (folder,) = set(executor.map(local_model, [model] * 4))
    assert sorted(path.name for path in Path(folder).rglob("*") if path.is_file()) == ["config.json", "weights"]
    assert [path.name for path in Path(folder).parent.iterdir()] == [Path(folder).name], "nothing half is left"
    before = (Path(folder) / "config.json").stat().st_mtime_ns
    assert local_model(model) == folder
    assert (Path(folder) / "config.json").stat().st_mtime_ns == before
    bucket.write_text("students/iteration_00/config.json", '{"changed": true}')
    changed = local_model(model)
    assert changed != folder and "changed" in (Path(changed) / "config.json").read_text()


def test_what_is_no_model_is_refused(bucket: Storage) -> None:
    with pytest.raises(ModelError, match=r"s3://bucket/run/nothing is no model directory"):
        local_model("s3://bucket/run/nothing")


def test_folders_and_hub_names_stay_what_they_are() -> None:
    assert local_model("/models/mine") == "/models/mine"
    assert local_model("owner/name") == "owner/name"


def test_names_that_an_uri_could_not_hold_and_pickling(bucket: Storage) -> None:
    """Two test sets of one name are told apart by a #; a storage that travels opens its own connection."""
    import pickle

    bucket.write_text("problems/svamp#2.parquet", "x")
    travelled = pickle.loads(pickle.dumps(bucket))
    assert travelled.files("problems") == ["problems/svamp#2.parquet"]
    assert travelled.read_text("problems/svamp#2.parquet") == "x"
    assert b"testing" not in pickle.dumps(bucket)
