"""Packing as a function of lengths, order and seed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.training_plan import Length, TrainingPlan
from siked_ray.training.compute.packing import (
    Example,
    Lengths,
    PackedRow,
    Window,
    epoch_order,
    in_micro_batches,
    pack_rows,
    share_of_worker,
)
from siked_ray.training.compute.schedule import Schedule, plan_steps
from siked_ray.training.compute.tensors import attention_spans, collate
from tests.training.deepspeed_runs import plan_values


def example(num_prompt: int, num_response: int, first: int = 1) -> Example:
    tokens = np.arange(first, first + num_prompt + num_response, dtype=np.int32)
    return Example(tokens[:num_prompt], tokens[num_prompt:])


def rows_of(schedule: Schedule, step: int) -> list[np.ndarray]:
    """The rows of a step, for all workers together, straight from what a schedule says of itself."""
    ends = [0, *schedule.ends.tolist()]
    rows = range(schedule.first_rows[step], schedule.first_rows[step + 1])
    return [schedule.indices[ends[row] : ends[row + 1]] for row in rows]


LENGTHS = st.lists(st.integers(1, 50), max_size=300)


@given(LENGTHS, st.integers(50, 120), st.integers(0, 5))
def test_every_example_is_packed_once_and_no_row_is_too_long(lengths: list[int], max_seq_len: int, epoch: int):
    order = epoch_order(len(lengths), seed=3, epoch=epoch).tolist()
    rows = list(pack_rows(lengths, order, max_seq_len))
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[index] for index in row) <= max_seq_len for row in rows)


def test_an_example_that_is_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="example 1 has 11 tokens"):
        list(pack_rows([5, 11], [0, 1], 10))


def test_a_row_is_the_oldest_example_and_what_fills_the_rest_exactly():
    assert list(pack_rows([6, 8, 3, 2, 4], range(5), 10)) == [[0, 4], [1, 3], [2]]
    assert list(pack_rows([4, 3, 3, 3, 3], range(5), 10)) == [[0, 1, 2], [3, 4]], "earlier ones where it is a tie"


@given(st.lists(st.integers(1, 30), min_size=1, max_size=10), st.integers(30, 60))
def test_the_first_row_is_as_full_as_any_choice_could_make_it(lengths: list[int], max_seq_len: int):
    sums = {lengths[0]}
    for length in lengths[1:]:
        sums |= {total + length for total in sums}
    first = next(pack_rows(lengths, range(len(lengths)), max_seq_len))
    assert first[0] == 0
    assert sum(lengths[index] for index in first) == max(total for total in sums if total <= max_seq_len)


def gsm8k_like_lengths(num_examples: int) -> list[int]:
    """Prompt, question and rationale of GSM8K: some 210 tokens, with a long tail."""
    random = np.random.default_rng(0)
    return np.clip(60 + random.lognormal(np.log(140), 0.4, num_examples), 80, 1000).astype(int).tolist()


def test_hardly_any_padding_on_lengths_like_gsm8ks():
    lengths = gsm8k_like_lengths(7473)
    rows = list(pack_rows(lengths, epoch_order(len(lengths), seed=1, epoch=0).tolist(), 1024))
    assert 1 - sum(lengths) / (1024 * len(rows)) < 0.001, "0.013 % when this was written"


def test_packing_keeps_the_order_to_within_the_look_ahead():
    """No drift over an epoch: long and short examples come when the order says so."""
    lengths = gsm8k_like_lengths(4000)
    rows = list(pack_rows(lengths, range(4000), 1024))
    packed = [index for row in rows for index in row]
    displacement = np.abs(np.array(packed) - np.arange(4000))
    assert displacement.max() <= 64
    means = [np.mean([lengths[index] for index in packed[first : first + 1000]]) for first in range(0, 4000, 1000)]
    assert max(means) / min(means) < 1.1


def test_orders_differ_between_epochs_and_seeds_and_are_repeatable():
    orders = [tuple(epoch_order(50, seed=seed, epoch=epoch).tolist()) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(epoch_order(50, seed=1, epoch=0).tolist())


def test_many_examples_are_shuffled_within_windows_of_blocks():
    order = epoch_order(203, seed=1, epoch=0, window=Window(block=10, blocks=4))
    assert sorted(order.tolist()) == list(range(203))
    for first in range(0, 200, 40):
        assert len({index // 10 for index in order[first : first + 40].tolist()}) <= 6, "a window needs few blocks"
    assert abs(np.corrcoef(order, np.arange(203))[0, 1]) < 0.5, "the blocks themselves are shuffled"


def test_packing_does_not_depend_on_how_a_step_is_cut(make_plan):
    random = np.random.default_rng(0)
    lengths = Lengths(random.integers(1, 20, 100), random.integers(1, 20, 100))
    schedules = [plan_steps(make_plan(epochs=2, rows_per_step=8, micro_batch_size=size), lengths) for size in (1, 2, 8)]
    rows = [[row.tolist() for step in range(len(one)) for row in rows_of(one, step)] for one in schedules]
    assert rows[0] == rows[1] == rows[2]
    assert {one.num_micro_steps(3) for one in (make_plan(rows_per_step=8, micro_batch_size=2),)} == {2}


def test_every_example_comes_once_per_epoch_and_steps_stay_within_an_epoch(make_plan):
    lengths = Lengths.of([example(3, 5) for _ in range(30)])
    schedule = plan_steps(make_plan(epochs=3, max_seq_len=16), lengths)  # two examples a row, 4 rows a step
    steps = [rows_of(schedule, step) for step in range(len(schedule))]
    assert [len(step) for step in steps] == [4, 4, 4, 3] * 3
    for epoch in range(3):
        seen = [index for step in steps[4 * epoch : 4 * epoch + 4] for row in step for index in row.tolist()]
        assert sorted(seen) == list(range(30))


@pytest.mark.parametrize("length", [Length(steps=10), Length(tokens=570)])
def test_a_length_cuts_the_last_epoch_or_adds_epochs(make_plan, length: Length):
    lengths = Lengths.of([example(3, 5) for _ in range(30)])
    of_length = plan_steps(make_plan(epochs=1, max_seq_len=16, length=length), lengths)
    in_epochs = plan_steps(make_plan(epochs=3, max_seq_len=16), lengths)
    assert len(of_length) == 10, "an epoch has 3 steps of 64 tokens and one of 48"
    rows = [[[row.tolist() for row in rows_of(one, step)] for step in range(10)] for one in (of_length, in_epochs)]
    assert rows[0] == rows[1]
    assert of_length.num_tokens.tolist() == in_epochs.num_tokens[:10].tolist()
    assert of_length.num_targets.tolist() == in_epochs.num_targets[:10].tolist()


def test_a_length_of_nothing_ends(make_plan):
    lengths = Lengths(np.array([3]), np.array([4]))
    assert len(plan_steps(make_plan(length=Length(steps=3)), lengths, np.array([], dtype=np.int64))) == 0


def test_a_schedule_over_chosen_examples_names_them_and_counts_tokens_and_targets(make_plan):
    random = np.random.default_rng(0)
    lengths = Lengths(random.integers(0, 20, 50), random.integers(1, 20, 50))
    chosen = np.arange(1, 50, 3)
    schedule = plan_steps(make_plan(epochs=2, rows_per_step=3), lengths, chosen)
    steps = [np.concatenate(rows_of(schedule, step)) for step in range(len(schedule))]
    assert sorted(np.concatenate(steps).tolist()) == sorted([*chosen.tolist()] * 2)
    assert schedule.num_tokens.tolist() == [lengths.total[step].sum() for step in steps]
    assert schedule.num_targets.tolist() == [lengths.targets("response")[step].sum() for step in steps]
    assert [schedule.num_rows(step) for step in range(len(schedule))] == [
        len(rows_of(schedule, step)) for step in range(len(schedule))
    ]


def test_no_example_is_chosen(make_plan):
    lengths = Lengths(np.array([3]), np.array([4]))
    assert len(plan_steps(make_plan(), lengths, np.array([], dtype=np.int64))) == 0


@given(
    num_workers=st.integers(1, 5), first=st.integers(0, 9), length=st.integers(1, 10), rows_per_step=st.integers(1, 7)
)
def test_a_share_is_the_workers_rows_of_those_steps(num_workers, first, length, rows_per_step):
    random = np.random.default_rng(0)
    lengths = Lengths(random.integers(1, 20, 90), random.integers(1, 20, 90))
    plan = TrainingPlan(**plan_values(max_seq_len=64, rows_per_step=rows_per_step))
    schedule = plan_steps(plan, lengths)
    steps = range(min(first, len(schedule) - 1), min(first + length, len(schedule)))
    for rank in range(num_workers):
        indices, ends = schedule.share(steps, rank=rank, num_workers=num_workers)
        expected = [row.tolist() for step in steps for row in rows_of(schedule, step)[rank::num_workers]]
        assert [row.tolist() for row in np.split(indices, ends)[:-1]] == expected
        assert len(indices) == sum(map(len, expected))


@given(
    num_workers=st.integers(1, 9),
    micro_batch_size=st.integers(1, 4),
    rows_per_step=st.integers(1, 30),
    data=st.data(),
)
def test_workers_share_out_the_rows_of_a_step(num_workers, micro_batch_size, rows_per_step, data):
    num_micro_steps = -(-rows_per_step // (num_workers * micro_batch_size))
    rows = [[index] for index in range(data.draw(st.integers(0, rows_per_step)))]
    shares = [
        in_micro_batches(
            [rows[index] for index in share_of_worker(len(rows), rank=rank, num_workers=num_workers)],
            micro_batch_size=micro_batch_size,
            num_micro_steps=num_micro_steps,
        )
        for rank in range(num_workers)
    ]
    assert all(len(share) == num_micro_steps for share in shares), "every worker takes part in every micro step"
    assert all(len(micro) <= micro_batch_size for share in shares for micro in share)
    assert sorted(row for share in shares for micro in share for row in micro) == rows


def test_collate_by_hand():
    examples = [example(2, 3, first=10), example(1, 2, first=20)]
    batch = collate([PackedRow.of([one]) for one in examples], pad_token_id=9, loss_on="response")
    assert batch.input_ids_T.tolist() == [10, 11, 12, 13, 14, 20, 21, 22]
    assert batch.position_ids_T.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert batch.predictors_L.tolist() == [1, 2, 3, 5, 6]
    assert batch.targets_L.tolist() == [12, 13, 14, 21, 22]
    spans = attention_spans(batch)
    assert spans["cu_seq_lens_q"].tolist() == [0, 5, 8] and spans["max_length_q"] == 5


def test_loss_on_all_takes_the_prompt_but_never_the_first_token_of_an_example():
    examples = [example(2, 3, first=10), example(1, 2, first=20)]
    batch = collate([PackedRow.of(examples)], pad_token_id=9, loss_on="all")
    assert batch.targets_L.tolist() == [11, 12, 13, 14, 21, 22]


def test_an_empty_micro_batch_is_one_token_without_loss():
    batch = collate([], pad_token_id=9, loss_on="response")
    assert (batch.input_ids_T.tolist(), batch.position_ids_T.tolist()) == ([9], [0])
    assert len(batch.predictors_L) == len(batch.targets_L) == 0
    assert attention_spans(batch)["cu_seq_lens_q"].tolist() == [0, 1]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=20),
    st.sampled_from(["response", "all"]),
)
def test_targets_are_counted_without_laying_them_out(sizes: list[tuple[int, int]], loss_on: str):
    examples = [example(*size) for size in sizes]
    lengths = Lengths.of(examples)
    for row in pack_rows(lengths.total.tolist(), range(len(examples)), 20):
        batch = collate([PackedRow.of([examples[index] for index in row])], pad_token_id=0, loss_on=loss_on)
        assert len(batch.targets_L) == lengths.targets(loss_on)[row].sum()
        positions = batch.position_ids_T.tolist()
        assert positions[0] == 0 and all(after in (0, before + 1) for before, after in pairwise(positions))
        assert [positions[start] for start in batch.starts_E] == [0] * len(row)
