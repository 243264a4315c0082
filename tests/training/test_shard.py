"""Workers' shards out of Ray Data: what the schedule says, from any step on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from siked_ray.core.objective import TEACHER_COLUMNS, ObjectiveSpec
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.data.encoding import encode_responses
from siked_ray.data.storage import Storage
from siked_ray.training.compute.packing import Example, PackedRow, Window
from siked_ray.training.compute.tensors import collate
from siked_ray.training.feed import preparation, shard
from siked_ray.training.feed.preparation import Prepared
from siked_ray.training.feed.shard import open_shard
from siked_ray.training.feed.tokens import TokenisedExamples, parts_of, tokenise
from tests.training.deepspeed_runs import plan_values
from tests.training.payloads import as_columns, assert_said_of, said_of
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


@pytest.mark.engines
@pytest.mark.parametrize(("num_workers", "first_step"), [(1, 0), (3, 0), (2, 4)])
def test_shards_are_the_workers_rows_in_the_order_of_the_steps(
    ray, storage: Storage, prepared: Prepared, monkeypatch: pytest.MonkeyPatch, num_workers: int, first_step: int
):
    """With several tasks and several tables in each, which must not change places."""
    chunks = replace(prepared.chunks, window=Window(block=5, blocks=5))
    monkeypatch.setattr(shard, "_ROWS_PER_TABLE", 2)
    for rank in range(num_workers):
        share = {"rank": rank, "num_workers": num_workers, "first_step": first_step}
        rows = as_lists(open_shard(storage, chunks, prepared.schedule, **share))
        assert rows == expected(storage, prepared, **share) and rows


@pytest.fixture
def with_teacher(tmp_path: Path, tiny_model: str) -> tuple[Storage, Prepared]:
    """All rows but every fourth are scored."""
    storage, tokenizer = Storage(str(tmp_path)), AutoTokenizer.from_pretrained(tiny_model)
    rows = sums(90)
    responses = encode_responses(tokenizer, [row["response"] for row in rows])
    nothing = {name: [] for name in TEACHER_COLUMNS}
    scored = [
        row | (as_columns(said_of(np.array(response))) if number % 4 else nothing)
        for number, (row, response) in enumerate(zip(rows, responses, strict=True))
    ]
    storage.write_parquet("scored.parquet", pa.Table.from_pylist(scored))
    (part,) = parts_of(storage, ["scored.parquet"])
    facts = tokenise(storage, part, tokenizer, "tokens", rows_per_chunk=40, with_teacher=True)
    return storage, preparation._planned(PLAN, pa.concat_tables(facts), ObjectiveSpec(with_teacher=True))


@pytest.mark.engines
@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_the_teacher_said_of_a_token_stays_with_it(
    ray, with_teacher: tuple[Storage, Prepared], monkeypatch: pytest.MonkeyPatch, num_workers: int
):
    storage, data = with_teacher
    chunks = replace(data.chunks, window=Window(block=5, blocks=5))
    monkeypatch.setattr(shard, "_ROWS_PER_TABLE", 2)
    num_known = 0
    for rank in range(num_workers):
        share = {"rank": rank, "num_workers": num_workers, "first_step": 0}
        rows = list(open_shard(storage, chunks, data.schedule, **share))
        assert as_lists(rows) == expected(storage, data, **share)
        batch = collate(rows, pad_token_id=0, loss_on="response")
        assert batch.payload is not None
        known = batch.payload.is_known_R
        num_known += known.sum()
        assert_said_of(batch.payload.take(np.flatnonzero(known)), batch.targets_L[known])
    lengths = [len(TokenisedExamples(storage, chunks)[i].response) for i in range(90) if i % 4]
    assert num_known == PLAN.epochs * sum(lengths)


@pytest.mark.engines
def test_a_worker_without_rows_has_an_empty_shard(ray, storage: Storage, prepared: Prepared):
    """More workers than rows in any step."""
    rows = open_shard(storage, prepared.chunks, prepared.schedule, rank=6, num_workers=7)
    assert list(rows) == []


@pytest.mark.parametrize("first_step", [0, 3])
def test_spans_are_all_steps_one_after_the_other(prepared: Prepared, first_step: int):
    schedule = prepared.schedule
    spans = list(shard._spans(schedule, first_step, 25))
    assert [step for span in spans for step in span] == list(range(first_step, len(schedule)))
    sizes = [sum(len(row) for step in span for row in rows_of(schedule, step)) for span in spans]
    assert len(spans) > 2 and all(size >= 25 for size in sizes[:-1])


def test_rows_survive_being_sliced_by_ray():
    rows = [PackedRow(np.arange(n, n + 3), np.array([1, n]), np.array([n, 1])) for n in range(5)]
    table = shard._table(rows, with_teacher=False)
    assert as_lists(shard._rows(table.slice(2, 2))) == as_lists(iter(rows[2:4]))
    assert as_lists(shard._rows(pa.concat_tables([table.slice(3), table]))) == as_lists(iter([*rows[3:], *rows]))


def test_wrong_examples_come_through():
    examples = [Example(np.array([1, 2]), np.array([3]), wrong=number == 1, num_tag=number) for number in range(3)]
    rows = [PackedRow.of(examples), PackedRow.of(examples[:1])]
    found = list(shard._rows(shard._table(rows, with_teacher=False, with_wrong=True, with_tags=True)))
    assert [row.is_wrong_E.tolist() for row in found] == [[0, 1, 0], [0]]
    assert [row.num_tag_E.tolist() for row in found] == [[0, 1, 2], [0]]
