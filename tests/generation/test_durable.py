"""Finished rows are durable within seconds, and a stage that was interrupted continues with what is missing."""

import threading
import time
from dataclasses import replace

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.data.storage import Storage
from siked_ray.generation import durable
from siked_ray.generation.durable import RowWriter, compact, discard_pending, finished_rows, quarantined_rows
from siked_ray.generation.finished import Quarantined, SampledRow
from tests.generation.conftest import make_sink
from tests.plain_rollout import PLAIN


def sampled(problem: str, strategy: str = "cot", num_samples: int = 2, model: str = "m") -> SampledRow:
    rollouts = tuple(
        replace(
            PLAIN,
            request_id=f"{problem}-{strategy}-{index}",
            problem_id=problem,
            requested=strategy,
            ask_id=strategy,
            strategy=strategy,
            sample_index=index,
            seed=index,
            verdict=Verdict.WRONG,
            model=model,
            engine="fake",
        )
        for index in range(num_samples)
    )
    return SampledRow(row={"problem_id": problem, "requested": strategy, "ask_id": strategy}, rollouts=rollouts)


def names(writer: str):
    return (f"{writer}-{index:06d}.parquet" for index in range(100))


@pytest.fixture
def sink(tmp_path):
    return make_sink(Storage(str(tmp_path)))


def test_rows_are_durable_without_a_flush_within_seconds(sink, monkeypatch):
    monkeypatch.setattr(durable, "FLUSH_INTERVAL_S", 0.05)
    writer = RowWriter(sink, names("w"))
    writer.add(sampled("p"))
    writer.add(Quarantined(problem_id="q", requested="pot", ask_id="pot", reason="too long"))
    deadline = time.monotonic() + 10
    while len(finished_rows(sink)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert finished_rows(sink) == {("p", "cot"), ("q", "pot")}
    assert [row["reason"] for row in quarantined_rows(sink.storage, sink.stage)] == ["too long"]
    writer.close()


def test_flush_and_close_leave_nothing_behind(sink):
    writer = RowWriter(sink, names("w"))
    writer.add(sampled("p"))
    writer.flush()
    assert finished_rows(sink) == {("p", "cot")}
    writer.flush()
    assert len(sink.storage.files("rollouts/iteration_01/pending")) == 1, "nothing new, no file"
    writer.add(sampled("q"))
    writer.close()
    assert finished_rows(sink) == {("p", "cot"), ("q", "cot")}


def test_a_part_that_has_nothing_new_adds_nothing(sink):
    for name in ("aa", "bb"):
        writer = RowWriter(sink, names(name))
        writer.add(sampled("p"))
        writer.close()
    assert sink.storage.read_parquet(compact(sink)).num_rows == 2


def test_rows_of_one_writer_are_told_from_those_of_another(sink):
    for name, problem in (("aa", "p"), ("bb", "q")):
        writer = RowWriter(sink, names(name))
        writer.add(sampled(problem))
        writer.add(Quarantined(problem_id=f"{problem}!", requested="pot", ask_id="pot", reason="odd"))
        writer.close()
    assert finished_rows(sink, "aa") == {("p", "cot"), ("p!", "pot")}
    assert len(finished_rows(sink)) == 4


def test_a_failing_disk_is_told_to_the_next_row(sink, monkeypatch):
    monkeypatch.setattr(durable, "FLUSH_INTERVAL_S", 0.02)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Storage, "write_parquet", full)
    writer = RowWriter(sink, names("w"))
    writer.add(sampled("p"))
    for _ in range(200):
        if not any(thread.name == "row-writer" and thread.is_alive() for thread in threading.enumerate()):
            break
        time.sleep(0.02)
    with pytest.raises(OSError, match="No space"):
        writer.add(sampled("q"))


def test_compaction_keeps_each_row_once_and_whole(sink, monkeypatch):
    monkeypatch.setattr(durable, "_ROWS_PER_FILE", 5)
    first, second = RowWriter(sink, names("a")), RowWriter(sink, names("b"))
    for index in range(6):
        first.add(sampled(f"p{index}", model="first"))
        first.flush()
    second.add(sampled("p2", num_samples=3, model="second"))
    second.add(sampled("p2", "pot", num_samples=3, model="second"))
    first.close()
    second.close()
    files = compact(sink)
    assert len(files) == 3
    rows = sink.storage.read_parquet(files).to_pylist()
    assert len({row["request_id"] for row in rows}) == len(rows) == 6 * 2 + 3
    assert {row["model"] for row in rows if (row["problem_id"], row["requested"]) == ("p2", "cot")} == {"first"}
    for file in files:
        keys = [
            (r["problem_id"], r["requested"], r["sample_index"]) for r in sink.storage.read_parquet(file).to_pylist()
        ]
        assert keys == sorted(keys)


def test_a_row_that_was_sampled_twice_by_one_engine_comes_once(sink):
    """It was thought to be lost, and was only out of reach."""
    writer = RowWriter(sink, names("a"))
    for problem in ("p", "q", "p"):
        writer.add(sampled(problem))
        writer.add(Quarantined(problem_id="r", requested="pot", ask_id="pot", reason="odd"))
    writer.close()
    rows = sink.storage.read_parquet(compact(sink)).to_pylist()
    assert [(row["problem_id"], row["sample_index"]) for row in rows] == [("p", 0), ("p", 1), ("q", 0), ("q", 1)]
    assert len(quarantined_rows(sink.storage, sink.stage)) == 1


def test_a_stage_that_was_killed_between_compaction_and_commit_is_compacted_again(sink):
    writer = RowWriter(sink, names("a"))
    writer.add(sampled("p"))
    writer.close()
    once = sink.storage.read_parquet(compact(sink))
    sink.storage.write_parquet("rollouts/iteration_01/rollouts_01-00001.parquet", once)  # of a longer earlier attempt
    assert finished_rows(sink) == {("p", "cot")}
    assert compact(sink) == ["rollouts/iteration_01/rollouts_01-00000.parquet"]
    assert sink.storage.files("rollouts/iteration_01", ".parquet") == [
        "rollouts/iteration_01/rollouts_01-00000.parquet"
    ]
    discard_pending(sink.storage, sink.folder)
    discard_pending(sink.storage, sink.folder)
    assert finished_rows(sink) == set()
    assert sink.storage.read_parquet("rollouts/iteration_01/rollouts_01-00000.parquet") == once


def without_ask_ids(sink, name: str) -> None:
    """Make a file what siked-ray 0.1 wrote."""
    sink.storage.write_parquet(name, sink.storage.read_parquet(name).drop_columns(["ask_id"]))


def test_rows_of_0_1_count_as_asked_without_a_context(sink):
    """A stage that 0.1 began is continued: its rows are finished, and compacted with those that come now."""
    writer = RowWriter(sink, names("a"))
    writer.add(sampled("p"))
    writer.add(Quarantined(problem_id="q", requested="pot", ask_id="pot", reason="odd"))
    writer.close()
    without_ask_ids(sink, sink.storage.files("rollouts/iteration_01/pending")[0])
    without_ask_ids(sink, sink.storage.files("quarantine")[0])
    writer = RowWriter(sink, names("b"))
    writer.add(sampled("r"))
    writer.close()
    assert finished_rows(sink) == {("p", "cot"), ("q", "pot"), ("r", "cot")}
    assert [row["ask_id"] for row in quarantined_rows(sink.storage, sink.stage)] == ["pot"]
    assert sink.storage.read_parquet(compact(sink))["ask_id"].to_pylist() == ["cot"] * 4


def test_two_asks_of_one_problem_are_two_rows(sink):
    writer = RowWriter(sink, names("a"))
    for ask, reason in (("next@1", "odd"), ("next@2", "long"), ("next@2", "long")):
        writer.add(Quarantined(problem_id="q", requested="next", ask_id=ask, reason=reason))
    writer.close()
    assert finished_rows(sink) == {("q", "next@1"), ("q", "next@2")}
    assert [row["reason"] for row in quarantined_rows(sink.storage, sink.stage)] == ["odd", "long"]
