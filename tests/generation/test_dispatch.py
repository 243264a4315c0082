"""Rows out to engines that get lost: nothing comes twice, nothing is lost, and nothing goes on for ever."""

import os
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from siked_ray.data.storage import Storage
from siked_ray.errors import PlacementError, StageError
from siked_ray.generation.calls import ROWS_PER_CALL, Call, RowsToDo, after_a_loss, rows_per_call
from siked_ray.generation.dispatch import Dispatch
from siked_ray.generation.durable import compact, finished_rows, quarantine_parts
from siked_ray.generation.pool import EnginePool
from siked_ray.generation.pooled_engine import PooledEngine, engines_wanted
from siked_ray.generation.rendering import request_blocks
from siked_ray.generation.requests import missing_requests
from tests.generation.conftest import (
    FunctionEngine,
    make_asks,
    make_sink,
    make_size,
    make_spec,
    make_task,
    write_problems,
)


def sample(
    storage: Storage, questions: list[str], task, *, folder: Path, size=None, on_the_way=iter, **engine
) -> Dispatch:
    """Sample a table on a pool of its own; the dispatch that did it."""
    name = write_problems(storage, "train", questions)
    sink = make_sink(storage)
    asks = make_asks(name)
    blocks, _ = missing_requests(storage, asks, finished_rows(sink))
    num_rows = sum(map(len, blocks))
    folder.mkdir(exist_ok=True)
    spec = make_spec(partial(FunctionEngine, folder=str(folder), **engine))
    pool = EnginePool(task.weights, spec, size or make_size(), name="student", log_dir=str(folder))
    try:
        pool.wait_ready()
        requests = request_blocks(storage, asks, blocks, None)
        dispatch = Dispatch(pool, task, sink, RowsToDo(on_the_way(requests), num_rows))
        dispatch.run()
    finally:
        pool.close()
    return dispatch


def table_of(storage: Storage) -> list[dict]:
    rows = storage.read_parquet(compact(make_sink(storage))).to_pylist()
    return sorted(rows, key=lambda row: row["request_id"])


@pytest.fixture(scope="module")
def questions() -> list[str]:
    return [f"how many, {i}?" for i in range(40)]


@pytest.fixture(scope="module")
def undisturbed(small_ray, questions, tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("undisturbed")
    storage = Storage(str(folder / "run"))
    dispatch = sample(storage, questions, make_task(), folder=folder / "engine")
    assert dispatch.num_losses == 0
    rows = table_of(storage)
    assert len({(row["problem_id"], row["requested"]) for row in rows}) == 80
    return rows


@pytest.mark.engines
def test_a_lost_process_costs_nothing_but_time(undisturbed, questions, tmp_path):
    storage = Storage(str(tmp_path / "run"))
    deadly = [*questions[:20], *(f"{q} kill" for q in questions[20:])]
    dispatch = sample(storage, deadly, make_task(), folder=tmp_path / "engine", kills=2)
    rows = table_of(storage)
    assert dispatch.num_losses == 2
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert len({(row["problem_id"], row["requested"]) for row in rows}) == 80
    harmless = {row["problem_id"] for row in rows} - {f"p{i:04d}" for i in range(20, 40)}
    assert [r for r in rows if r["problem_id"] in harmless] == [r for r in undisturbed if r["problem_id"] in harmless]
    assert len((tmp_path / "engine" / "opened").read_text().splitlines()) == 3, "started again after each loss"


@pytest.mark.engines
def test_a_broken_engine_is_replaced(questions, tmp_path, small_ray):
    storage = Storage(str(tmp_path / "run"))
    dispatch = sample(
        storage, [*questions[:5], "break it"], make_task(), folder=tmp_path / "engine", size=make_size(2, 2), kills=1
    )
    assert 1 <= dispatch.num_losses <= 2, "both engines may have had a row of it at the same moment"
    assert len({(row["problem_id"], row["requested"]) for row in table_of(storage)}) == 12


@pytest.mark.engines
def test_a_row_that_takes_every_engine_down_ends_in_quarantine_alone(questions, tmp_path, small_ray):
    storage = Storage(str(tmp_path / "run"))
    sample(storage, [*questions[:3], "kill for ever"], make_task(), folder=tmp_path / "engine", kills=10**6)
    (*parts,) = quarantine_parts(storage, "rollouts_01")
    lost = storage.read_parquet(parts).to_pylist()
    assert {(row["problem_id"], row["strategy"]) for row in lost} == {("p0003", "cot"), ("p0003", "pot")}
    assert "engines were lost" in lost[0]["reason"]
    assert len({(row["problem_id"], row["requested"]) for row in table_of(storage)}) == 6


@pytest.mark.engines
def test_engines_that_only_break_end_the_stage_with_their_reason(tmp_path, small_ray):
    storage = Storage(str(tmp_path / "run"))
    with pytest.raises(StageError, match=r"(?s)lost \d+ times without finishing a row.*out of memory"):
        sample(storage, [f"break {i}" for i in range(40)], make_task(), folder=tmp_path / "engine", kills=10**6)


@pytest.mark.engines
def test_a_stage_continues_with_the_rows_that_are_missing(undisturbed, questions, tmp_path):
    """Killed in the middle, from outside: the driver's side of it is gone too."""
    storage = Storage(str(tmp_path / "run"))
    folder = tmp_path / "engine"

    def kill_the_process() -> None:
        while not (folder / "opened").exists():
            time.sleep(0.01)
        time.sleep(0.4)
        os.kill(int((folder / "opened").read_text().split()[1]), signal.SIGKILL)

    killer = threading.Thread(target=kill_the_process)
    killer.start()
    sample(storage, questions, make_task(), folder=folder, seconds=0.02)
    killer.join()
    assert table_of(storage) == undisturbed
    durable = len(finished_rows(make_sink(storage)))
    for part in storage.files("rollouts/iteration_01/pending", ".parquet")[::2]:
        (tmp_path / "run" / part).unlink()
    missing = durable - len(finished_rows(make_sink(storage)))
    assert missing > 0
    sample(storage, questions, make_task(), folder=tmp_path / "again")
    assert table_of(storage) == undisturbed


@pytest.mark.engines
def test_new_weights_go_into_the_living_engine(tmp_path, questions, small_ray):
    storage, folder = Storage(str(tmp_path / "run")), tmp_path / "engine"
    folder.mkdir()
    name = write_problems(storage, "train", questions[:4])
    pool = EnginePool(
        "first", make_spec(partial(FunctionEngine, folder=str(folder))), make_size(), name="s", log_dir=str(folder)
    )
    for weights in ("first", "second"):
        sink = make_sink(storage)
        asks = make_asks(name, requested=("cot",))
        blocks, _ = missing_requests(storage, asks, set())
        to_do = RowsToDo(request_blocks(storage, asks, blocks, None), 4)
        Dispatch(pool, make_task(weights), sink, to_do).run()
    stats = pool.stats()
    solved = {row["problem_id"] for row in table_of(storage) if row["verdict"] == "correct"}
    assert (sum(stats.rows.values()), stats.solved.total()) == (8, 2 * len(solved)), "the same seeds with both weights"
    assert solved and stats.busy_s > 0
    pool.close()
    assert [line.split()[0] for line in (folder / "opened").read_text().splitlines()] == ["first", "reloaded"]


@pytest.mark.engines
def test_an_engine_that_was_only_out_of_reach_comes_back(tmp_path, small_ray):
    """Its process lives: what answers is what was thought to be lost."""
    pool = EnginePool(
        "m", make_spec(partial(FunctionEngine, folder=str(tmp_path))), make_size(), name="s", log_dir=str(tmp_path)
    )
    pool.wait_ready()
    engine = pool.idle_engine()
    before = engine.facts
    pool.replace(engine, kill=False)
    assert pool.idle_engine() is None
    pool.wait_ready()
    assert engine.facts == before
    pool.replace(engine, kill=True)
    pool.wait_ready()
    assert engine.facts.writer_id != before.writer_id, "never the process that is being ended"
    pool.close()


@pytest.mark.engines
def test_an_engine_that_finds_no_place_says_what_is_missing(tmp_path, small_ray):
    from dataclasses import replace

    size = replace(make_size(), cpus_per_engine=64.0, start_timeout_s=1.0)
    pool = EnginePool("m", make_spec(partial(FunctionEngine, folder=".")), size, name="s", log_dir=str(tmp_path))
    with pytest.raises(PlacementError, match="64 CPU"):
        pool.wait_ready()
    pool.close()


@pytest.mark.engines
def test_an_engine_that_cannot_open_says_why(tmp_path, small_ray):
    spec = make_spec(partial(FunctionEngine, folder="/nowhere"))
    pool = EnginePool("m", spec, make_size(), name="s", log_dir=str(tmp_path))
    with pytest.raises(StageError, match="nowhere"):
        pool.wait_ready()
    pool.close()


@pytest.mark.parametrize(("waiting", "wanted"), [(0, 2), (100, 2), (256, 2), (257, 3), (1000, 8), (10**6, 10)])
def test_there_are_as_many_engines_as_full_loads(waiting: int, wanted: int):
    assert engines_wanted(waiting, 128, make_size(2, 10)) == wanted


@pytest.mark.engines
def test_the_pool_grows_with_what_waits(tmp_path, questions, small_ray):
    storage, folder = Storage(str(tmp_path / "run")), tmp_path / "engine"
    sample(storage, questions, make_task(), folder=folder, size=make_size(1, 2), num_engines=2)
    assert len((folder / "opened").read_text().splitlines()) == 2


@pytest.mark.engines
def test_a_pool_can_go_back_to_its_least_number(tmp_path, questions, small_ray):
    storage, sink = Storage(str(tmp_path / "run")), make_sink(Storage(str(tmp_path / "run")))
    name = write_problems(storage, "train", questions)
    asks = make_asks(name)
    blocks, num_rows = missing_requests(storage, asks, set())
    spec = make_spec(partial(FunctionEngine, folder=str(tmp_path), num_engines=2))
    pool = EnginePool("student", spec, make_size(1, 2), name="student", log_dir=str(tmp_path))
    try:
        pool.wait_ready()
        to_do = RowsToDo(request_blocks(storage, asks, blocks, None), num_rows)
        Dispatch(pool, make_task(), sink, to_do).run()
        counted = pool.stats()
        assert (len(pool), sum(counted.rows.values())) == (2, num_rows)
        pool.shrink()
        assert len(pool) == 1
        assert (pool.stats().rows, pool.stats().generated_tokens) == (counted.rows, counted.generated_tokens)
    finally:
        pool.close()


@pytest.mark.parametrize(("gpus", "opened"), [(0.5, 1), (1.0, 3), (0.0, 3)])
def test_engines_that_share_a_gpu_are_opened_one_after_the_other(monkeypatch, tmp_path, gpus: float, opened: int):
    import ray

    class Actor:
        def __getattr__(self, name: str):
            return SimpleNamespace(remote=lambda *_: object())

    actors = SimpleNamespace(remote=lambda *_: Actor())
    monkeypatch.setattr(ray, "remote", lambda _: SimpleNamespace(options=lambda **_: actors))
    size = replace(make_size(3, 3), gpus_per_engine=gpus)
    pool = EnginePool("student", make_spec(lambda _: None), size, name="student", log_dir=str(tmp_path))
    assert len(pool) == opened


def test_few_rows_are_spread_and_many_travel_together():
    assert rows_per_call(1, 2, 1) == 1
    assert rows_per_call(40, 2, 20) == 5, "20 are each engine's share"
    assert rows_per_call(10**6, 2, 512) == ROWS_PER_CALL
    assert rows_per_call(10**6, 2, 10**6) == ROWS_PER_CALL


def test_the_last_rows_go_out_in_small_calls():
    waiting, sizes = 1000, []
    while waiting > 0:
        sizes.append(rows_per_call(waiting, 2, 512))
        waiting -= sizes[-1]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 125
    assert sizes[-1] == 16 and len(sizes) < 25, "and not in ever so many: each call is a file"


@pytest.mark.parametrize("rows_in_flight", [1, 7, 52, 512])
def test_an_engine_asks_for_more_while_it_has_half_of_what_it_may_have(rows_in_flight: int):
    assert rows_per_call(10**6, 2, rows_in_flight) <= max(1, rows_in_flight / 2 + 1)


@pytest.mark.parametrize(
    ("num_samples", "ramp", "keep", "rows"), [(10, (1, 2), 1, 320), (10, (1, 2), None, 32), (3, (4,), 1, 107)]
)
def test_rows_that_draw_many_samples_at_once_fill_an_engine_sooner(monkeypatch, num_samples, ramp, keep, rows):
    monkeypatch.setattr(EnginePool, "_grow", lambda *_: None)
    pool = EnginePool("student", make_spec(lambda _: None, 320), make_size(), name="student", log_dir="")
    plan = replace(make_task().plan, num_samples=num_samples, ramp=ramp, keep=keep)
    assert pool.rows_in_flight(plan, 10**6) == rows


def test_the_engine_that_is_up_first_leaves_the_others_their_share(monkeypatch):
    monkeypatch.setattr(EnginePool, "_grow", lambda *_: None)
    pool = EnginePool("student", make_spec(lambda _: None, 320), make_size(3, 9), name="student", log_dir="")
    assert [pool.rows_in_flight(make_task().plan, num_rows) for num_rows in (1, 100, 10**6)] == [1, 34, 320]


def test_a_call_whose_engine_was_lost_comes_back_in_pieces():
    again = after_a_loss(Call("block", range(5, 15)), range(5, 15))
    assert [list(call.rows) for call in again] == [[5, 6, 7], [8, 9, 10], [11, 12, 13], [14]]
    assert {call.attempts for call in again} == {1}
    assert after_a_loss(Call("block", [5, 6, 9], 1), [9]) == [Call("block", [9], 2)]
    assert after_a_loss(Call("block", [5]), []) == []


def test_rows_are_taken_as_they_are_asked_for_and_what_was_lost_first():
    to_do = RowsToDo(iter([("a", 5), ("b", 2)]), 7)
    assert [to_do.next_call(size) for size in (2, 9, 1)] == [
        Call("a", range(2)),
        Call("a", range(2, 5)),
        Call("b", range(1)),
    ]
    to_do.give_back([Call("a", [3, 4], 1), Call("a", [0], 2)])
    assert (to_do.num_rows, to_do.num_unsuspected) == (4, 3)
    assert [to_do.next_call(1) for _ in range(3)] == [Call("a", [3], 1), Call("a", [4], 1), Call("b", range(1, 2))]
    assert (to_do.num_unsuspected, to_do.next_suspect(), to_do.num_rows) == (0, Call("a", [0], 2), 0)
    assert to_do.next_suspect() is None


@pytest.mark.engines
def test_rows_whose_block_is_lost_are_left_to_be_laid_out_anew(questions, tmp_path, small_ray):
    """Ray makes no block again whose owner is gone."""
    import ray

    class Owner:
        def own(self, table):
            return [ray.put(table)]

    def lost(requests):
        for block, num_rows in requests:
            owner = ray.remote(Owner).options(num_cpus=0).remote()
            (orphan,) = ray.get(owner.own.remote(block))
            ray.kill(owner)
            with pytest.raises(ray.exceptions.OwnerDiedError):
                for _ in range(100):
                    ray.get(orphan)
                    time.sleep(0.1)
            yield orphan, num_rows

    storage = Storage(str(tmp_path / "run"))
    dispatch = sample(storage, questions[:2], make_task(), folder=tmp_path / "engine", on_the_way=lost)
    assert (dispatch.num_unread, dispatch.num_losses) == (4, 0)
    dispatch = sample(storage, questions[:2], make_task(), folder=tmp_path / "engine")
    assert (dispatch.num_unread, len(finished_rows(make_sink(storage)))) == (0, 4)


def test_the_engine_with_the_fewest_rows_is_first(monkeypatch):
    monkeypatch.setattr(EnginePool, "_grow", lambda *_: None)
    pool = EnginePool("student", make_spec(lambda _: None, 320), make_size(), name="student", log_dir="")
    engines = [PooledEngine(actor=None, opening=None, facts=object(), rows_in_flight=rows) for rows in (3, 0, 9, 1)]
    engines[3].is_asked = True
    engines.append(PooledEngine(actor=None, opening=object()))
    pool._engines = engines
    assert [one.rows_in_flight for one in pool.ready_engines()] == [0, 3, 9]
    assert pool.idle_engine() is engines[1]
    engines[1].is_leaving = True
    assert pool.idle_engine() is None
