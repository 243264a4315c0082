"""Which rows a sampling stage asks for."""

import pytest

from siked_ray.core.rollout import FREE
from siked_ray.data import storage as storage_module
from siked_ray.data.storage import Storage
from siked_ray.generation.requests import lay_out, missing_requests, request_batches
from tests.generation.conftest import write_problems


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "_ROW_GROUP_SIZE", 4)
    return Storage(str(tmp_path))


def rows_of(storage, blocks):
    return [row for block in blocks for row in lay_out(storage, block).to_pylist()]


def test_every_problem_with_every_strategy_strategies_side_by_side(storage):
    name = write_problems(storage, "train", [f"q{i}" for i in range(10)])
    blocks, num_rows = missing_requests(storage, [name], ("cot", FREE), set())
    rows = rows_of(storage, blocks)
    assert [len(block.wanted) for block in blocks] == [4, 4, 2], "a block per row group"
    assert len(rows) == num_rows == sum(map(len, blocks)) == 20
    assert rows[:2] == [
        {"problem_id": "p0000", "question": "q0", "answer": "1", "strategy": "cot"},
        {"problem_id": "p0000", "question": "q0", "answer": "1", "strategy": FREE},
    ]


def test_what_is_finished_is_not_asked_for_again(storage):
    name = write_problems(storage, "train", [f"q{i}" for i in range(10)])
    finished = {(f"p{i:04d}", "cot") for i in range(10)} | {(f"p{i:04d}", "pot") for i in range(5)}
    blocks, num_rows = missing_requests(storage, [name], ("cot", "pot"), finished)
    assert num_rows == 20
    assert {(row["problem_id"], row["strategy"]) for row in rows_of(storage, blocks)} == {
        (f"p{i:04d}", "pot") for i in range(5, 10)
    }
    everything = {(f"p{i:04d}", s) for i in range(10) for s in ("cot", "pot")}
    assert missing_requests(storage, [name], ("cot", "pot"), everything) == ([], 20)


def test_a_problem_in_two_tables_is_asked_once(storage):
    names = [write_problems(storage, name, ["a", "b", "c"]) for name in ("validation", "test")]
    blocks, num_rows = missing_requests(storage, names, ("cot",), set())
    assert num_rows == 3
    assert len(rows_of(storage, blocks)) == 3


def test_ray_data_streams_all_rows_once(storage, small_ray):
    name = write_problems(storage, "train", [f"q{i}" for i in range(23)])
    blocks, num_rows = missing_requests(storage, [name], ("cot", "pot"), {("p0001", "cot")})
    batches = list(request_batches(storage, blocks, 8))
    assert all(len(batch) == 8 for batch in batches[:-1])
    streamed = [(row["problem_id"], row["strategy"]) for batch in batches for row in batch]
    assert len(streamed) == len(set(streamed)) == num_rows - 1


def test_requests_stream_where_the_engines_have_taken_every_cpu(storage, small_ray):
    import ray

    @ray.remote(num_cpus=2)
    class Everything:
        def ready(self) -> bool:
            return True

    actor = Everything.remote()
    assert ray.get(actor.ready.remote())
    name = write_problems(storage, "train", ["q"] * 5)
    blocks, _ = missing_requests(storage, [name], ("cot",), set())
    assert sum(map(len, request_batches(storage, blocks, 2))) == 5
    ray.kill(actor)
