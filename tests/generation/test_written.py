"""What engines wrote has to be where the driver reads, or the stage ends before its rows are lost."""

import pytest

from siked_ray.data.storage import Storage
from siked_ray.errors import StageError
from siked_ray.generation import written
from siked_ray.generation.durable import RowWriter
from siked_ray.generation.written import WrittenParts
from tests.generation.conftest import make_sink
from tests.generation.test_durable import names, sampled


@pytest.fixture
def sink(tmp_path):
    return make_sink(Storage(str(tmp_path / "seen")))


def write(sink, writer_id: str, num_parts: int = 1) -> str:
    """The last part of a writer."""
    writer = RowWriter(sink, names(writer_id))
    for index in range(num_parts):
        writer.add(sampled(f"p{index}"))
        writer.flush()
    writer.close()
    return writer.last_part


def test_parts_that_are_there_are_no_reason_to_wait(sink, monkeypatch):
    monkeypatch.setattr(written.time, "sleep", lambda _: pytest.fail("waited"))
    parts = WrittenParts(sink, timeout_s=0)
    for writer_id in ("a", "b"):
        parts.add(write(sink, writer_id, num_parts=2))
    parts.wait_for_all()


def test_an_engine_that_writes_to_a_disk_of_its_own_ends_the_stage(sink, tmp_path):
    elsewhere = make_sink(Storage(str(tmp_path / "other machine")))
    parts = WrittenParts(sink, timeout_s=0)
    parts.add(write(sink, "a"))
    parts.add(write(elsewhere, "b"))
    with pytest.raises(StageError, match=r"part b-000001.*not the same on all nodes\. Set run_dir to a shared"):
        parts.add(write(elsewhere, "b", num_parts=2))


def test_the_end_waits_for_the_last_part_of_each_engine(sink, tmp_path, monkeypatch):
    parts = WrittenParts(sink, timeout_s=60)
    parts.add(write(sink, "a"))
    parts.add("a-000001.parquet")
    monkeypatch.setattr(written.time, "sleep", lambda _: write(sink, "a", num_parts=2))
    parts.wait_for_all()
    late = WrittenParts(sink, timeout_s=0)
    late.add("a-000007.parquet")
    monkeypatch.setattr(written.time, "sleep", lambda _: None)
    with pytest.raises(StageError, match="part a-000007"):
        late.wait_for_all()
