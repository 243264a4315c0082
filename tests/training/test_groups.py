"""Packing of rows that share a prompt, as a function of lengths, prompts, order and seed."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.training.compute.groups import groups_of, pack_groups, window_of_groups
from siked_ray.training.compute.packing import (
    OF_TOKENS,
    OF_TOKENS_WITH_TEACHER,
    Lengths,
    epoch_order,
    pack_rows,
    prompt_id,
)
from siked_ray.training.compute.schedule import plan_steps
from tests.training.test_packing import rows_of

#: Prompt tokens of each problem, and response tokens of its rationales.
PROBLEMS = st.lists(st.tuples(st.integers(0, 20), st.lists(st.integers(1, 20), min_size=1, max_size=8)), max_size=60)


def lengths_of(problems: list[tuple[int, list[int]]], seed: int = 0) -> Lengths:
    """Of the rationales of all problems, in any order."""
    rows = [(prompt, response, number) for number, (prompt, responses) in enumerate(problems) for response in responses]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)[np.random.default_rng(seed).permutation(len(rows))].T
    return Lengths(columns[0], columns[1], columns[2])


@given(PROBLEMS, st.integers(40, 120), st.integers(0, 5))
def test_every_example_is_packed_once_and_no_row_is_too_long(problems, max_seq_len: int, seed: int):
    lengths = lengths_of(problems, seed)
    groups = groups_of(lengths, np.arange(len(lengths.total)))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths.total)))
    for group in groups:
        assert len(set(lengths.prompt_ids[group].tolist())) == 1
        assert len(group) == 1 or lengths.prompt[group[0]] > 0, "an empty prompt is not shared"
    rows = list(pack_groups(lengths.total.tolist(), groups, max_seq_len))
    assert sorted(index for row in rows for index in row) == list(range(len(lengths.total)))
    assert all(0 < lengths.total[row].sum() <= max_seq_len for row in rows)


def test_groups_are_made_across_the_mixture_in_the_order_in_which_prompts_come():
    lengths = Lengths(np.array([4, 4, 4, 0, 4, 4, 0]), np.full(7, 6), np.array([5, 9, 5, 7, 9, 5, 7]))
    assert groups_of(lengths, np.arange(7)) == [[0, 2, 5], [1, 4], [3], [6]], "an empty prompt is not shared"
    assert groups_of(lengths, np.array([1, 3, 4, 5])) == [[1, 4], [3], [5]], "of the chosen ones alone"


def test_very_many_rows_of_one_prompt_are_several_groups():
    lengths = Lengths(np.full(1000, 2), np.full(1000, 3), np.zeros(1000, dtype=np.int64))
    sizes = [len(group) for group in groups_of(lengths, np.arange(1000))]
    assert (max(sizes), sum(sizes)) == (64, 1000)


@pytest.mark.parametrize(
    ("groups", "rows"),
    [
        ([[0, 1, 2], [3, 4, 5]], [[0, 1, 2, 3], [4, 5]]),
        ([[0, 1, 2], [3, 4], [5]], [[0, 1, 2, 5], [3, 4]]),
        ([[0], [1, 2, 3, 4, 5]], [[0, 1, 2, 3], [4, 5]]),
        ([[0, 1, 2, 3, 4], [5]], [[0, 1, 2, 3], [4, 5]]),
    ],
    ids=["divided to fill a row", "a whole one rather", "rest of it", "longer than a row"],
)
def test_groups_are_whole_where_that_fills_rows_and_the_rest_of_one_begins_the_next_row(groups, rows):
    assert list(pack_groups([10] * 6, groups, 40)) == rows


@pytest.mark.parametrize(("max_seq_len", "at_most"), [(512, 1.6), (1024, 1.2), (2048, 1.05)])
def test_rows_are_nearly_as_full_as_without_groups_and_few_prompts_come_twice(max_seq_len: int, at_most: float):
    """Lengths like GSM8K's, three rationales each: prompts that micro batches of two rows compute."""
    random = np.random.default_rng(0)
    problems = [(int(random.integers(80, 180)), random.integers(40, 120, 3).tolist()) for _ in range(600)]
    lengths, everything = lengths_of(problems), np.arange(1800)
    totals = lengths.total.tolist()
    rows = list(pack_groups(totals, groups_of(lengths, everything), max_seq_len))
    plain = list(pack_rows(totals, everything.tolist(), max_seq_len))
    assert len(plain) <= len(rows) <= 1.05 * len(plain)
    assert computed_prompts(lengths, rows) < at_most * sum(prompt for prompt, _ in problems)
    assert computed_prompts(lengths, plain) > 2.9 * sum(prompt for prompt, _ in problems)


def computed_prompts(lengths: Lengths, rows: list[list[int]]) -> int:
    """Tokens of prompts that differ within a micro batch of two rows."""
    micro_batches = [list(chain(*rows[first : first + 2])) for first in range(0, len(rows), 2)]
    prompts = [{int(lengths.prompt_ids[i]): int(lengths.prompt[i]) for i in batch} for batch in micro_batches]
    return sum(sum(each.values()) for each in prompts)


@pytest.mark.parametrize("window", [OF_TOKENS, OF_TOKENS_WITH_TEACHER])
@pytest.mark.parametrize("per_group", [1, 3, 6, 40])
def test_a_window_holds_no_more_examples_whatever_groups_are_like(window, per_group: int):
    of_groups = window_of_groups(window, 1000, 1000 * per_group)
    assert of_groups.block == window.block
    assert of_groups.num_examples * per_group <= max(window.num_examples, window.block * per_group)


def test_a_schedule_of_groups_shuffles_problems_and_counts_as_without(make_plan):
    lengths = lengths_of([(7, [5, 9, 3])] * 40)
    plan = make_plan(epochs=2, rows_per_step=2, shared_prompts=True)
    schedule = plan_steps(plan, lengths)
    steps = [np.concatenate(rows_of(schedule, step)) for step in range(len(schedule))]
    assert sorted(np.concatenate(steps).tolist()) == sorted([*range(120)] * 2)
    assert schedule.num_tokens.tolist() == [lengths.total[step].sum() for step in steps]
    assert schedule.num_targets.tolist() == [lengths.targets("response")[step].sum() for step in steps]
    first = [lengths.prompt_ids[i] for i in steps[0]]
    assert first != sorted(first) and len(set(first)) < len(first)
    order = epoch_order(40, seed=plan.seed, epoch=0)
    in_order = groups_of(lengths, np.arange(120))
    assert in_order[order[0]][0] in steps[0]


def test_equal_prompts_have_equal_ids():
    ids = [prompt_id(tokens) for tokens in ([1, 2, 3], np.array([1, 2, 3], dtype=np.int32), [1, 2], [], [0])]
    assert ids[0] == ids[1] and len(set(ids)) == 4
    assert all(0 <= one < 2**63 for one in ids)
