"""pass@k and the majority of k, against the formula and against looking at every choice of k samples."""

import math
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.evaluation.outcomes import GradedAnswer
from siked_ray.evaluation.sampled import evaluate_samples, majority_at, pass_at, powers_of_two

counts = st.tuples(st.integers(1, 60), st.integers(0, 60), st.integers(1, 60)).filter(
    lambda one: one[1] <= one[0] and one[2] <= one[0]
)


@pytest.mark.parametrize(
    ("k", "n", "c", "expected"),
    [(1, 4, 1, 0.25), (2, 4, 1, 0.5), (4, 4, 1, 1.0), (2, 10, 3, 1 - 21 / 45), (5, 10, 0, 0.0), (3, 10, 8, 1.0)],
)
def test_pass_at_k_by_hand(k: int, n: int, c: int, expected: float):
    assert pass_at(k, n, c) == pytest.approx(expected)


@given(counts)
def test_pass_at_k_is_the_formula(one: tuple[int, int, int]):
    n, c, k = one
    assert pass_at(k, n, c) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


@given(counts)
def test_pass_at_k_grows_with_k_and_pass_at_1_is_the_share(one: tuple[int, int, int]):
    n, c, _ = one
    values = [pass_at(k, n, c) for k in range(1, n + 1)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(c / n)
    assert values[-1] == (1.0 if c else 0.0)


def test_pass_at_k_of_very_many_samples():
    assert pass_at(5_000, 100_000, 10) == pytest.approx(1 - 0.95**10, rel=1e-3)
    assert 0 < pass_at(1, 10**6, 1) == pytest.approx(1e-6)


@pytest.mark.parametrize(("k", "n", "c"), [(0, 4, 1), (5, 4, 1), (1, 4, 5)])
def test_what_is_not_defined(k: int, n: int, c: int):
    with pytest.raises(ValueError, match="not defined"):
        pass_at(k, n, c)
    with pytest.raises(ValueError, match="not defined"):
        majority_at(5, 2, [1], 1)


def looked_at(k: int, correct: int, others: list[int], silent: int) -> float:
    """The same by every choice of k samples."""
    answers = ["right"] * correct + [f"wrong {i}" for i, size in enumerate(others) for _ in range(size)]
    won, choices = 0.0, list(combinations([*answers, *[None] * silent], k))
    for choice in choices:
        votes = Counter(one for one in choice if one is not None)
        first = [one for one, number in votes.items() if number == max(votes.values())]
        won += ("right" in first) / len(first) if first else 0
    return won / len(choices)


@given(st.integers(0, 4), st.lists(st.integers(1, 3), max_size=3), st.integers(0, 3), st.integers(1, 12))
def test_the_majority_of_k_is_that_of_every_choice(correct: int, others: list[int], silent: int, k: int):
    total = correct + sum(others) + silent
    if k <= total:
        assert majority_at(k, correct, others, silent) == pytest.approx(looked_at(k, correct, others, silent))


def test_the_majority_of_all_samples_and_of_one():
    assert majority_at(8, 4, [3, 1], 0) == 1.0
    assert majority_at(8, 3, [4, 1], 0) == 0.0
    assert majority_at(8, 4, [4], 0) == 0.5, "a tie"
    assert majority_at(8, 1, [], 7) == 1.0, "the silent ones do not vote"
    assert majority_at(1, 3, [4, 1], 2) == pytest.approx(3 / 10)


def sample(problem: str, predicted: str | None, gold: str = "4") -> GradedAnswer:
    verdict = Verdict.CORRECT if predicted == gold else Verdict.WRONG if predicted else Verdict.UNPARSED
    return GradedAnswer(problem_id=problem, requested=FREE, strategy="cot", verdict=verdict, predicted=predicted)


def test_a_data_set():
    samples = [
        *(sample("a", answer) for answer in ("4", "4", "5", "5.0")),
        *(sample("b", answer) for answer in ("6", "4", None, "4")),
        *(sample("other", "4") for _ in range(4)),
    ]
    found = evaluate_samples(["a", "b", "lost"], samples, 4, [1, 2, 4])
    assert found.num_samples == 4
    assert found.average == pytest.approx(4 / 12) == found.pass_at["1"] == found.majority_at["1"]
    assert found.pass_at["2"] == pytest.approx(2 * (1 - 1 / 6) / 3)
    assert found.pass_at["4"] == pytest.approx(2 / 3), "one was never sampled"
    assert found.majority_at["4"] == pytest.approx((0.5 + 1.0 + 0.0) / 3), "5 and 5.0 are one answer"
    low, high = found.intervals.pass_at["4"]
    assert low < 2 / 3 < high


def test_which_k_are_reported():
    assert [powers_of_two(most) for most in (2, 8, 10)] == [[1, 2], [1, 2, 4, 8], [1, 2, 4, 8, 10]]
