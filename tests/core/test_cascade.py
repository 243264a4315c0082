"""Whom a problem goes to, by values that were computed apart from this code, and what holds for any margins."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.cascade import CascadeRule, Costs, Route, quantile, routes

COSTS = Costs(small=1, large=5)
#: Each of 200 margins once; the small model is right from .5 on, the large one always.
MARGINS = [((73 * index) % 200) / 200 for index in range(200)]
OURS, PUBLISHED = CascadeRule.OURS, CascadeRule.PUBLISHED


def worth(
    margins: list[float], budget: float, rule: CascadeRule = OURS, costs: Costs = COSTS
) -> tuple[float, int, int, float]:
    """Accuracy, escalated, large alone, spent."""
    taken = routes(margins, costs, budget, rule)
    right = [margin >= 0.5 if route is Route.SMALL else True for margin, route in zip(margins, taken, strict=True)]
    assert Route.NOBODY not in taken
    counts = (taken.count(Route.ESCALATED), taken.count(Route.LARGE))
    return sum(right) / len(margins), *counts, sum(map(costs.of, taken))


@pytest.mark.parametrize(
    ("budget", "accuracy", "escalated", "spent"),
    [(1, 0.5, 0, 200), (1.5, 0.59, 18, 290), (2, 0.685, 37, 385), (3.5, 0.965, 93, 665), (5, 0.99, 151, 955)],
)
def test_golden_values(budget: float, accuracy: float, escalated: int, spent: float):
    assert worth(MARGINS, budget) == (accuracy, escalated, 0, spent)


def test_a_budget_for_both_escalates_everything():
    assert worth(MARGINS, 6) == worth(MARGINS, 7) == (1.0, 200, 0, 1200)


@pytest.mark.parametrize(
    ("budget", "accuracy", "escalated", "alone", "spent"),
    [
        *((1, 0.5, 0, 0, 200), (1.5, 0.58, 11, 11, 299), (2, 0.67, 27, 16, 399), (3.5, 0.935, 67, 41, 699)),
        *((5, 1.0, 0, 200, 1000), (6, 1.0, 0, 200, 1000)),
    ],
)
def test_golden_values_of_the_published_rule(budget: float, accuracy: float, escalated: int, alone: int, spent: float):
    assert worth(MARGINS, budget, PUBLISHED) == (accuracy, escalated, alone, pytest.approx(spent))


def test_by_hand():
    margins = [0.9, 0.1, 0.5, 0.3, 0.7, 0.2]
    taken = routes(margins, Costs(small=1, large=3), 2, OURS)
    assert [index for index, route in enumerate(taken) if route is Route.ESCALATED] == [1, 3]
    assert worth(margins, 2, costs=Costs(small=1, large=3)) == (pytest.approx(5 / 6), 2, 0, 12)


@pytest.mark.parametrize(("budget", "escalated", "spent"), [(1.5, 20, 300), (2, 40, 400), (3.5, 100, 700)])
def test_falling_margins_use_the_budget_up_and_no_more(budget: float, escalated: int, spent: float):
    assert worth(sorted(MARGINS, reverse=True), budget)[1:] == (escalated, 0, spent)
    assert worth(sorted(MARGINS), budget)[1] == 0, "rising ones are never below those before"


SEVERAL = st.lists(st.one_of(st.none(), st.floats(0, 20, allow_nan=False)), min_size=1, max_size=60)


@given(SEVERAL, st.floats(0.1, 1), st.floats(1.1, 9), st.floats(1, 9))
def test_no_budget_is_overspent(margins: list[float | None], small: float, large: float, times: float):
    costs, budget = Costs(small=small, large=large), times * small
    for rule in CascadeRule:
        spent = sum(map(costs.of, routes(margins, costs, budget, rule)))
        assert spent <= budget * len(margins) * (1 + 1e-6)
    ours = routes(margins, costs, budget, OURS)
    assert set(ours) <= {Route.SMALL, Route.ESCALATED}, "each problem gets an answer"


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=60), st.sampled_from([1.5, 2.0, 3.5]))
def test_the_scale_of_margins_is_no_matter(margins: list[int], budget: float):
    scaled = [4.0 * margin - 64 for margin in margins]
    assert routes(margins, COSTS, budget, OURS) == routes(scaled, COSTS, budget, OURS)


def test_equal_margins_are_never_escalated_and_unknown_ones_first():
    assert routes([0.5] * 50, COSTS, 3, OURS) == [Route.SMALL] * 50
    taken = routes([0.5, None, 0.5, None], COSTS, 3.5, OURS)
    assert taken == [Route.SMALL, Route.ESCALATED, Route.SMALL, Route.ESCALATED]
    assert set(routes([None, None], COSTS, 1, OURS)) == {Route.SMALL}, "there is no budget for them"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], p: float):
    assert quantile(sorted(values), p) == pytest.approx(float(np.quantile(values, p)), abs=1e-12)


def test_costs_that_are_no_cascade():
    assert COSTS.problem_with(1) is None
    assert "does not pay for the small model, which costs 1" in (COSTS.problem_with(0.9) or "")
    assert "has to be less" in (Costs(small=2, large=2).problem_with(3) or "")
    assert math.isclose(COSTS.of(Route.ESCALATED), 6)


def test_more_budget_asks_the_large_model_more():
    asked = [worth(MARGINS, budget)[1] for budget in (1, 1.5, 2, 3.5, 5, 6)]
    assert all(fewer < more for fewer, more in pairwise(asked))
