"""What is known of a target stays with it: in rows, batches, tables and chunks."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.objective import TEACHER_COLUMNS, TEACHER_IDS, TEACHER_LOG_PROBS, TEACHER_LOG_TAIL
from siked_ray.data.teacher_columns import TOP_K, check_top_k, checked
from siked_ray.errors import StageError
from siked_ray.training.compute.packing import (
    OF_TOKENS,
    OF_TOKENS_WITH_TEACHER,
    Example,
    Lengths,
    PackedRow,
    epoch_order,
    pack_rows,
)
from siked_ray.training.compute.tensors import collate
from siked_ray.training.feed import shard
from tests.training.payloads import as_columns, assert_said_of, said_of


def examples_of(sizes: list[tuple[int, int, bool]]) -> list[Example]:
    """Examples (prompt, response, whether the teacher scored it) in which no token comes twice."""
    tokens = iter(range(1, 10_000))
    examples = []
    for num_prompt, num_response, is_known in sizes:
        prompt, response = (
            np.array([next(tokens) for _ in range(number)], dtype=np.int32) for number in (num_prompt, num_response)
        )
        examples.append(Example(prompt, response, said_of(response) if is_known else None))
    return examples


SIZES = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6), st.booleans()), min_size=1, max_size=20)


@given(SIZES, st.sampled_from(["response", "all"]), st.integers(0, 5))
def test_every_target_has_what_is_known_of_it(sizes: list[tuple[int, int, bool]], loss_on: str, seed: int):
    """However examples are shuffled and packed; nothing is known of prompts, and of responses without a teacher."""
    examples = examples_of(sizes)
    order = epoch_order(len(examples), seed=seed, epoch=0).tolist()
    packed = pack_rows(Lengths.of(examples).total.tolist(), order, 20)
    batch = collate([PackedRow.of([examples[i] for i in row]) for row in packed], pad_token_id=0, loss_on=loss_on)
    known = {int(token) for example in examples if example.payload is not None for token in example.response}
    is_known = np.array([int(token) in known for token in batch.targets_L], dtype=bool)
    if not known:
        assert batch.payload is None
        return
    assert batch.payload is not None and batch.payload.is_known_R.tolist() == is_known.tolist()
    assert_said_of(batch.payload.take(np.flatnonzero(is_known)), batch.targets_L[is_known])


def test_a_batch_without_rows_knows_nothing():
    assert collate([], pad_token_id=0, loss_on="response").payload is None


@pytest.mark.parametrize("with_others", [True, False])
def test_packed_rows_survive_tables(with_others: bool):
    sizes = [(2, 3, True), (1, 2, False), (0, 4, True)]
    rows = [PackedRow.of([one]) for one in examples_of(sizes)]
    rows = [*rows, PackedRow.of(examples_of(sizes))] if with_others else rows[1:2]
    table = shard._table(rows, with_teacher=True)
    for again, row in zip(shard._rows(pa.concat_tables([table.slice(0, 1), table.slice(1)])), rows, strict=True):
        assert again.tokens.tolist() == row.tokens.tolist()
        assert (again.payload is None) == (row.payload is None)
        if row.payload is not None:
            assert again.payload.token_ids_RK.tolist() == row.payload.token_ids_RK.tolist()
            assert again.payload.log_probs_RK.dtype == np.float16
            assert again.payload.is_known_R.tolist() == row.payload.is_known_R.tolist()


def batch_of(*rows: dict[str, list[float]] | None, log_probs: pa.DataType | None = None) -> pa.RecordBatch:
    """Rows that the teacher scored, or did not (None)."""
    columns = {name: [row and row[name] for row in rows] for name in TEACHER_COLUMNS}
    types = dict.fromkeys(TEACHER_COLUMNS, log_probs or pa.float16()) | {TEACHER_IDS: pa.int32()}
    return pa.record_batch({name: pa.array(columns[name], pa.list_(types[name])) for name in TEACHER_COLUMNS})


SCORED = as_columns(said_of(np.array([5, 6, 7])))


@pytest.mark.parametrize("log_probs", [pa.float16(), pa.float32(), pa.float64()])
def test_rows_may_be_scored_or_not(log_probs: pa.DataType):
    nothing = {name: [] for name in TEACHER_COLUMNS}
    batch = batch_of(None, SCORED, nothing, SCORED, log_probs=log_probs).slice(1)
    columns = checked(batch, np.array([3, 9, 3]), "rows.parquet")
    assert columns[TOP_K].to_pylist() == [2, 0, 2]
    assert [columns[name].to_pylist() for name in TEACHER_COLUMNS] == [
        [SCORED[name], [], SCORED[name]] for name in TEACHER_COLUMNS
    ]
    assert columns[TEACHER_LOG_PROBS].type == columns[TEACHER_LOG_TAIL].type == pa.list_(pa.float16())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row, r"has them for 3 tokens and a response of 4; was the teacher's tokenizer another one\?"),
        (lambda row: row | {TEACHER_LOG_TAIL: [-1.0] * 4}, "are incomplete"),
        (lambda row: row | {TEACHER_LOG_TAIL: []}, "are incomplete"),
        (lambda row: {TEACHER_IDS: [], TEACHER_LOG_PROBS: [], TEACHER_LOG_TAIL: [-1.0] * 4}, "are incomplete"),
        (lambda row: row | {TEACHER_LOG_PROBS: [-1.0] * 8, TEACHER_LOG_TAIL: [-1.0] * 4}, "are incomplete"),
    ],
)
def test_rows_whose_scores_do_not_fit_are_refused(change: Callable[[dict], dict], says: str):
    with pytest.raises(StageError, match=rf"The teacher's probabilities in rows\.parquet .*{says}"):
        checked(batch_of(change(SCORED)), np.array([4]), "rows.parquet")


@pytest.mark.parametrize(
    ("top_k", "says"), [([0, 0], "None of the rows"), ([8, 0, 16], "the teacher's 8 or 16 most likely tokens")]
)
def test_rows_that_cannot_be_packed_together_are_refused(top_k: list[int], says: str):
    with pytest.raises(StageError, match=says):
        check_top_k(np.array(top_k))
    check_top_k(np.array([0, 16, 16]))


def test_a_window_with_the_teacher_is_held_in_a_few_hundred_megabytes():
    """Of 150 response tokens an example, and the teacher's top 16."""
    tokens = np.arange(150)
    arrays = said_of(tokens)
    two = arrays.token_ids_RK.nbytes + arrays.log_probs_RK.nbytes
    assert two / 2 * 16 + arrays.log_tail_R.nbytes == 150 * 98
    assert OF_TOKENS_WITH_TEACHER.num_blocks_in_memory * OF_TOKENS_WITH_TEACHER.block * 150 * 98 < 300e6
    assert OF_TOKENS.num_blocks_in_memory * OF_TOKENS.block * 150 * 98 > 2e9, "what it would be without its own window"
