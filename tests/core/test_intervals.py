import math
import random

import pytest

from siked_ray.core.intervals import bootstrap_interval, compare, compare_counts, detectable_difference, mcnemar


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


def test_counts_say_what_the_problems_say():
    before, after = [True] * 30 + [False] * 70, [True] * 20 + [False] * 10 + [True] * 25 + [False] * 45
    assert compare_counts(100, 25, 10) == compare(before, after)


@pytest.mark.parametrize(
    ("num_problems", "discordance", "points"), [(300, 0.2, 7.21), (1500, 0.2, 3.23), (900, 0.1, 2.95)]
)
def test_the_smallest_difference_that_shows(num_problems: int, discordance: float, points: float):
    """7 points of one run of the demo's world, 3 of five seeds."""
    found = detectable_difference(num_problems, discordance)
    assert found == pytest.approx(points / 100, abs=5e-5)
    assert found * math.sqrt(num_problems) == pytest.approx(
        1.959964 * math.sqrt(discordance) + 0.841621 * math.sqrt(discordance - found**2)
    )


def test_it_is_found_in_four_of_five_tries():
    found = detectable_difference(300, 0.2)
    generator = random.Random(1)
    chances = [(0.2 + found) / 2, (0.2 - found) / 2, 0.8]
    tries = [generator.choices([1, -1, 0], chances, k=300) for _ in range(2000)]
    shown = sum(mcnemar(one.count(1), one.count(-1)) < 0.05 for one in tries)
    assert 0.72 < shown / 2000 < 0.84, "the exact test is a little more careful than the formula"


@pytest.mark.parametrize(("num_problems", "discordance"), [(10, 0.2), (300, 0.0), (1, 0.2), (0, 0.2)])
def test_where_no_difference_can_show(num_problems: int, discordance: float):
    assert detectable_difference(num_problems, discordance) is None
