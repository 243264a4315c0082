import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.generation.row_sampler import RowSampler

RAMP = [1, 1, 2, 3, 3]


def drawn(sampler: RowSampler, correct: set[int]) -> list[list[int]]:
    """The attempts of a row whose samples are right at the given indices."""
    attempts = []
    while indices := sampler.next_indices():
        attempts.append(list(indices))
        for index in indices:
            sampler.add(index, is_accepted=index in correct)
    assert sampler.finished
    return attempts


@pytest.mark.parametrize(
    ("num_samples", "ramp", "sizes"),
    [
        (10, RAMP, [1, 1, 2, 3, 3]),
        (8, RAMP, [1, 1, 2, 3, 1]),
        (12, [1, 2], [1, 2, 2, 2, 2, 2, 1]),
        (3, [5], [3]),
        (1, RAMP, [1]),
    ],
)
def test_the_ramp_of_a_row_that_is_never_right(num_samples: int, ramp: list[int], sizes: list[int]):
    attempts = drawn(RowSampler(num_samples=num_samples, ramp=ramp, keep=1), set())
    assert [len(attempt) for attempt in attempts] == sizes
    assert [index for attempt in attempts for index in attempt] == list(range(num_samples))


def test_a_row_stops_at_its_first_correct_sample():
    assert drawn(RowSampler(num_samples=10, ramp=RAMP, keep=1), {0, 5}) == [[0]]
    assert drawn(RowSampler(num_samples=10, ramp=RAMP, keep=1), {3}) == [[0], [1], [2, 3]]


def test_a_row_stops_at_its_kth_correct_sample():
    assert drawn(RowSampler(num_samples=10, ramp=RAMP, keep=2), {0, 3, 9}) == [[0], [1], [2, 3]]


def test_all_samples_are_drawn_at_once_without_early_stop():
    assert drawn(RowSampler(num_samples=10, ramp=RAMP, keep=None), {0}) == [list(range(10))]


def test_nothing_is_drawn_while_a_verdict_is_outstanding():
    sampler = RowSampler(num_samples=10, ramp=[2, 3], keep=1)
    assert list(sampler.next_indices()) == [0, 1]
    sampler.add(1, is_accepted=False)
    assert (sampler.outstanding, sampler.finished, list(sampler.next_indices())) == (1, False, [])
    sampler.add(0, is_accepted=False)
    assert list(sampler.next_indices()) == [2, 3, 4]


def test_a_correct_sample_does_not_finish_a_row_before_the_lower_ones_are_known():
    sampler = RowSampler(num_samples=10, ramp=[2], keep=1)
    sampler.next_indices()
    sampler.add(1, is_accepted=True)
    assert not sampler.finished, "sample 0 may still be right, and it comes first"
    sampler.add(0, is_accepted=True)
    assert sampler.finished


@given(
    st.integers(1, 20),
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.one_of(st.none(), st.integers(1, 4)),
    st.sets(st.integers(0, 19)),
)
def test_the_first_k_correct_of_all_samples_are_always_drawn(num_samples, ramp, keep, correct):
    attempts = drawn(RowSampler(num_samples=num_samples, ramp=ramp, keep=keep), correct)
    indices = [index for attempt in attempts for index in attempt]
    assert indices == list(range(len(indices))), "consecutive, none twice"
    assert len(indices) <= num_samples
    reachable = sorted(index for index in correct if index < num_samples)
    assert set(reachable[:keep]) <= set(indices)
    if keep is not None and len(reachable) >= keep:
        assert sum(index in correct for attempt in attempts[:-1] for index in attempt) < keep, "it stopped at once"
