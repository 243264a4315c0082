"""Workers' shards out of Ray Data: what the schedule says, from any step on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from siked_ray.data.storage import Storage
from siked_ray.training import preparation, shard
from siked_ray.training.packing import PackedRow
from siked_ray.training.plan import TrainingPlan
from siked_ray.training.preparation import Prepared
from siked_ray.training.shard import open_shard
from siked_ray.training.tokens import TokenisedExamples, parts_of, tokenise
from tests.training.deepspeed_runs import plan_values
from tests.training.test_packing import rows_of
from tests.training.trained import local_ray, sums

PLAN = TrainingPlan(**plan_values(epochs=2, rows_per_step=5, max_seq_len=64))


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with local_ray(num_cpus=2):
        yield


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path))
    storage.write_parquet("rows.parquet", pa.Table.from_pylist(sums(90)))
    return storage


@pytest.fixture
def prepared(storage: Storage, tiny_model: str) -> Prepared:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    (part,) = parts_of(storage, ["rows.parquet"])
    facts = pa.concat_tables(tokenise(storage, part, tokenizer, "tokens", rows_per_chunk=40))
    return preparation._planned(PLAN, facts)


def as_lists(rows: Iterator[PackedRow]) -> list[tuple[list[int], list[int], list[int]]]:
    return [(row.tokens.tolist(), row.prompt_lengths.tolist(), row.response_lengths.tolist()) for row in rows]


def expected(storage: Storage, data: Prepared, *, rank: int, num_workers: int, first_step: int):
    examples, schedule = TokenisedExamples(storage, data.chunks), data.schedule
    steps = [rows_of(schedule, step)[rank::num_workers] for step in range(first_step, len(schedule))]
    return as_lists(PackedRow.of([examples[int(i)] for i in row]) for step in steps for row in step)


@pytest.mark.parametrize(("num_workers", "first_step"), [(1, 0), (3, 0), (2, 4)])
def test_shards_are_the_workers_rows_in_the_order_of_the_steps(
    ray, storage: Storage, prepared: Prepared, monkeypatch: pytest.MonkeyPatch, num_workers: int, first_step: int
):
    """With several tasks and several tables in each, which must not change places."""
    monkeypatch.setattr(shard, "SHUFFLE_WINDOW", 25)
    monkeypatch.setattr(shard, "_ROWS_PER_TABLE", 2)
    for rank in range(num_workers):
        share = {"rank": rank, "num_workers": num_workers, "first_step": first_step}
        rows = as_lists(open_shard(storage, prepared.chunks, prepared.schedule, **share))
        assert rows == expected(storage, prepared, **share) and rows


def test_a_worker_without_rows_has_an_empty_shard(ray, storage: Storage, prepared: Prepared):
    """More workers than rows in any step."""
    rows = open_shard(storage, prepared.chunks, prepared.schedule, rank=6, num_workers=7)
    assert list(rows) == []


@pytest.mark.parametrize("first_step", [0, 3])
def test_spans_are_all_steps_one_after_the_other(prepared: Prepared, monkeypatch: pytest.MonkeyPatch, first_step: int):
    monkeypatch.setattr(shard, "SHUFFLE_WINDOW", 25)
    schedule = prepared.schedule
    spans = list(shard._spans(schedule, first_step))
    assert [step for span in spans for step in span] == list(range(first_step, len(schedule)))
    sizes = [sum(len(row) for step in span for row in rows_of(schedule, step)) for span in spans]
    assert len(spans) > 2 and all(size >= 25 for size in sizes[:-1])


def test_rows_survive_being_sliced_by_ray():
    rows = [PackedRow(np.arange(n, n + 3), np.array([1, n]), np.array([n, 1])) for n in range(5)]
    table = shard._table(rows)
    assert as_lists(shard._rows(table.slice(2, 2))) == as_lists(iter(rows[2:4]))
    assert as_lists(shard._rows(pa.concat_tables([table.slice(3), table]))) == as_lists(iter([*rows[3:], *rows]))
