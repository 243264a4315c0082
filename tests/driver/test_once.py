import pytest

from siked_ray.core.stage import Kind, StageId
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.storage import Storage
from siked_ray.driver.once import Once, fingerprint_of
from siked_ray.errors import ConfigError

STAGE = StageId(Kind.TABLE, "pairs")


def once(storage: Storage, committed: list[str], *, taken_over: frozenset[str] = frozenset()) -> Once:
    return Once(Ledger(storage), taken_over=taken_over, on_commit=lambda record: committed.append(record.stage))


def work(storage: Storage, runs: list[int]):
    def run() -> dict[str, int]:
        runs.append(1)
        storage.write_text("tables/pairs.txt", "made")
        return {"rows": 3}

    return run


@pytest.fixture
def storage(tmp_path) -> Storage:
    return Storage(str(tmp_path))


def test_a_stage_runs_once_and_its_record_says_what_it_was_made_from(storage: Storage):
    runs: list[int] = []
    committed: list[str] = []
    made_from = {"verb": "select", "strategies": ("cot", "pot")}
    for _ in range(2):
        record = once(storage, committed)(STAGE, made_from, work(storage, runs), lambda: ["tables/pairs.txt"])
    assert (runs, committed, record.metrics) == ([1], ["table_pairs"], {"rows": 3})
    assert record.made_from == {"verb": "select", "strategies": ["cot", "pot"]}


def test_what_was_made_from_something_else_is_refused_by_name(storage: Storage):
    once(storage, [])(STAGE, {"verb": "select", "temperature": 0.7}, work(storage, []))
    with pytest.raises(ConfigError, match=r"table_pairs was made from something else \(temperature: 0\.7 -> 1\.0\)"):
        once(storage, [])(STAGE, {"verb": "select", "temperature": 1.0}, work(storage, []))


def test_what_another_run_made_and_what_0_1_made_is_taken_by_its_name(storage: Storage):
    once(storage, [])(STAGE, {"policy": "all"}, work(storage, []))
    runs: list[int] = []
    once(storage, [], taken_over=frozenset({"table_pairs"}))(STAGE, {"policy": "adaptive"}, work(storage, runs))
    old = StageRecord(id=STAGE, position=1, seconds=0.0, outputs=(), metrics={})
    Ledger(storage).commit(old)
    once(storage, [])(STAGE, {"policy": "adaptive"}, work(storage, runs))
    assert runs == []


def test_a_lost_output_has_its_stage_run_again(storage: Storage):
    runs: list[int] = []
    for _ in range(2):
        once(storage, [])(STAGE, {}, work(storage, runs), lambda: ["tables/pairs.txt"])
        storage.delete_file("tables/pairs.txt")
    assert len(runs) == 2


def test_fingerprints_tell_results_apart_and_do_not_depend_on_the_order_of_keys():
    def record(made_from) -> StageRecord:
        return StageRecord(id=STAGE, position=1, seconds=0.0, outputs=(), metrics={}, made_from=made_from)

    one = fingerprint_of(record({"a": 1, "b": [2]}))
    assert one == fingerprint_of(record({"b": [2], "a": 1}))
    assert len({one, fingerprint_of(record({"a": 1, "b": [3]})), fingerprint_of(record(None))}) == 3
