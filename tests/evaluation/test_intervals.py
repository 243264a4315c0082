import math
import random

import pytest

from siked_ray.evaluation.intervals import bootstrap_interval, compare, mcnemar


@pytest.mark.parametrize(
    "values", [[1.0] * 30 + [0.0] * 70, [1.0] * 12 + [0.0] * 180 + [-1.0] * 8, [0.5, 0.1, 0.9, 0.3] * 10]
)
def test_it_is_the_interval_of_resampling_problems_one_by_one(values: list[float]):
    generator = random.Random(1)
    means = sorted(sum(generator.choices(values, k=len(values))) / len(values) for _ in range(4000))
    expected = (means[100], means[3900])
    assert bootstrap_interval(values) == pytest.approx(expected, abs=0.015)


def test_it_is_repeatable_and_near_the_normal_one():
    values = [True] * 400 + [False] * 600
    low, high = bootstrap_interval(values)
    half = 1.96 * math.sqrt(0.4 * 0.6 / 1000)
    assert (low, high) == pytest.approx((0.4 - half, 0.4 + half), abs=0.003)
    assert bootstrap_interval(values) == (low, high)


def test_what_is_certain_has_no_width_and_nothing_says_nothing():
    assert bootstrap_interval([True] * 5) == (1.0, 1.0)
    assert bootstrap_interval([]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (1, 0, 1.0),
        (6, 0, 2 / 64),
        (0, 6, 2 / 64),
        (9, 1, 2 * 11 / 1024),
        (59, 6, 91_581_634 / 2**64),
    ],
)
def test_mcnemar_by_hand(gained: int, lost: int, p: float):
    assert mcnemar(gained, lost) == pytest.approx(p)


def test_a_paired_comparison():
    paired = compare([True, True, False, False, False], [True, False, True, True, False])
    assert (paired.num_problems, paired.gained, paired.lost) == (5, 2, 1)
    assert paired.difference == pytest.approx(0.2)
    assert paired.interval[0] < 0.2 < paired.interval[1]
    assert paired.p_value == 1.0
