"""Which rows a sampling stage asks for."""

import pytest

from siked_ray.core.asks import ask_id
from siked_ray.core.rollout import FREE
from siked_ray.data import storage as storage_module
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.generation.rendering import request_blocks
from siked_ray.generation.requests import lay_out, missing_requests
from tests.generation.conftest import make_asks, write_problems


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "_ROW_GROUP_SIZE", 4)
    return Storage(str(tmp_path))


def rows_of(storage, asks, blocks):
    return [row for block in blocks for row in lay_out(storage, asks, block).to_pylist()]


def test_every_problem_with_every_strategy_strategies_side_by_side(storage):
    asks = make_asks(write_problems(storage, "train", [f"q{i}" for i in range(10)]), requested=("cot", FREE))
    blocks, num_rows = missing_requests(storage, asks, set())
    rows = rows_of(storage, asks, blocks)
    assert [(len(block), block.wanted) for block in blocks] == [(8, None), (8, None), (4, None)], "one per row group"
    assert len(rows) == num_rows == 20
    first = {"problem_id": "p0000", "question": "q0", "answer": "1", "context": None}
    assert rows[:2] == [first | {"requested": one, "ask_id": one} for one in ("cot", FREE)]


def test_what_is_finished_is_not_asked_for_again(storage):
    asks = make_asks(write_problems(storage, "train", [f"q{i}" for i in range(10)]))
    finished = {(f"p{i:04d}", "cot") for i in range(10)} | {(f"p{i:04d}", "pot") for i in range(5)}
    blocks, num_rows = missing_requests(storage, asks, finished)
    assert num_rows == 20
    assert {(row["problem_id"], row["requested"]) for row in rows_of(storage, asks, blocks)} == {
        (f"p{i:04d}", "pot") for i in range(5, 10)
    }
    everything = {(f"p{i:04d}", s) for i in range(10) for s in ("cot", "pot")}
    assert missing_requests(storage, asks, everything) == ([], 20)


def test_a_problem_in_two_tables_is_asked_once(storage):
    names = [write_problems(storage, name, ["a", "b", "c"]) for name in ("validation", "test")]
    asks = make_asks(*names, requested=("cot",))
    blocks, num_rows = missing_requests(storage, asks, set())
    assert num_rows == 3
    assert len(rows_of(storage, asks, blocks)) == 3


def test_a_table_of_asks_is_joined_to_its_problems(storage):
    name = write_problems(storage, "train", [f"q{i}" for i in range(10)])
    wanted = [("p0009", "cot", None), ("p0000", "cot", "one"), ("p0000", "cot", "two"), ("p0000", "cot", "one")]
    wanted += [("unknown", "cot", None), ("p0003", "pot", "one")]
    rows = [dict(zip(("problem_id", "requested", "context"), row, strict=True)) for row in wanted]
    storage.write_parquet("tables/asks.parquet", table("asks", rows))
    asks = make_asks(name, table="tables/asks.parquet")
    blocks, num_rows = missing_requests(storage, asks, set())
    laid_out = rows_of(storage, asks, blocks)
    assert [(row["question"], row["requested"], row["context"]) for row in laid_out] == [
        ("q9", "cot", None),
        ("q0", "cot", "one"),
        ("q0", "cot", "two"),
        ("q3", "pot", "one"),
    ]
    assert num_rows == 4, "an ask counts once, and none without its problem"
    assert [row["ask_id"] for row in laid_out] == ["cot", *(ask_id(*row[1:]) for row in [*wanted[1:3], wanted[5]])]
    assert [block.problems for block in blocks] == [((name, 0), (name, 2)), ((name, 0),)], "no other rows are read"

    finished = {("p0000", ask_id("cot", "one")), ("p0003", ask_id("pot", "one"))}
    blocks, num_rows = missing_requests(storage, asks, finished)
    assert num_rows == 4
    assert [row["ask_id"] for row in rows_of(storage, asks, blocks)] == ["cot", ask_id("cot", "two")]


@pytest.mark.engines
def test_ray_data_streams_all_rows_once_as_references(storage, small_ray):
    import ray

    asks = make_asks(write_problems(storage, "train", [f"q{i}" for i in range(23)]))
    blocks, num_rows = missing_requests(storage, asks, {("p0001", "cot")})
    streamed = []
    for reference, size in request_blocks(storage, asks, blocks, None):
        rows = ray.get(reference).to_pylist()
        assert len(rows) == size
        streamed += [(row["problem_id"], row["ask_id"]) for row in rows]
    assert len(streamed) == len(set(streamed)) == num_rows - 1


@pytest.mark.engines
def test_requests_stream_where_the_engines_have_taken_every_cpu(storage, small_ray):
    import ray

    @ray.remote(num_cpus=2)
    class Everything:
        def ready(self) -> bool:
            return True

    actor = Everything.remote()
    assert ray.get(actor.ready.remote())
    asks = make_asks(write_problems(storage, "train", ["q"] * 5), requested=("cot",))
    blocks, _ = missing_requests(storage, asks, set())
    assert sum(num_rows for _, num_rows in request_blocks(storage, asks, blocks, None)) == 5
    ray.kill(actor)
