"""Accuracy against cost: golden areas, random escalation, and what a record says."""

import pytest

from siked_ray.core.cascade import CascadeRule, Costs
from siked_ray.core.cascade_curve import Tiered, area, budgets_between, curve, oracle, separation, sweep
from tests.core.test_cascade import COSTS, MARGINS, worth

PROBLEMS = [
    Tiered(problem_id=str(index), margin=margin, small=margin >= 0.5, large=True)
    for index, margin in enumerate(MARGINS)
]


def outcomes(budgets: list[float], problems: list[Tiered] = PROBLEMS, orders: int = 5, seed: int = 1) -> list:
    return sweep(problems, COSTS, budgets, CascadeRule.OURS, num_orders=orders, seed=seed)


def test_areas_between_the_two_costs():
    budgets = budgets_between(COSTS, 101)
    assert (budgets[0], budgets[-1]) == (1, 5)
    assert area(budgets, [worth(MARGINS, one)[0] for one in budgets]) == pytest.approx(0.8258, abs=5e-5)
    assert area(budgets, [0.5 + 0.5 * (one - 1) / 5 for one in budgets]) == pytest.approx(0.7)
    assert area(budgets, [oracle(PROBLEMS, COSTS, one) for one in budgets]) == pytest.approx(0.8437, abs=5e-5)


def test_random_escalation_costs_the_same():
    """The chance of being asked is what was spent, in units of the large model's cost; here each asked one is right."""
    for one in outcomes([1.5, 2, 3.5]):
        assert one.cost <= one.budget and one.escalated == pytest.approx((one.cost - 1) / 5)
        assert sum(one.random) / 200 == pytest.approx(0.5 + 0.5 * one.escalated)
        assert sum(one.right) > sum(one.random)


def test_a_cascade_at_its_least_budget_is_the_small_model():
    (one,) = outcomes([1])
    assert list(one.right) == list(one.random) == [float(problem.small) for problem in PROBLEMS]


def test_orders_are_drawn_by_seed_and_not_by_the_place_of_problems():
    (one,), (other,) = outcomes([2]), outcomes([2], PROBLEMS[::-1])
    assert one.right == list(reversed(other.right)) and one.cost == pytest.approx(other.cost)
    assert outcomes([2], seed=2)[0].right != one.right


def test_a_record_has_curve_areas_and_the_gain_on_random():
    found = curve(PROBLEMS, COSTS, outcomes(budgets_between(COSTS, 5)))
    assert found["small"]["accuracy"] == 0.5 and found["large"] == {"accuracy": 1.0, "interval": (1.0, 1.0)}
    assert [one["budget"] for one in found["curve"]] == [1, 2, 3, 4, 5]
    point = found["curve"][1]
    assert point["interval"][0] < point["accuracy"] < point["interval"][1] and point["random"] < point["accuracy"]
    areas, gain = found["area"], found["against_random"]
    assert areas["random"] < areas["accuracy"] < areas["oracle"]
    assert gain["difference"] == pytest.approx(areas["accuracy"] - areas["random"])
    assert gain["interval"][0] > 0 and gain["p_value"] < 0.01 and gain["num_problems"] == 200
    assert found["separation"] == 1.0 and not found["remark"]


def test_one_budget_has_no_area():
    found = curve(PROBLEMS, COSTS, outcomes([2]))
    (point,) = found["curve"]
    assert "area" not in found
    assert found["against_random"]["difference"] == pytest.approx(point["accuracy"] - point["random"])


def test_margins_that_say_nothing_gain_nothing():
    """Margins that have nothing to do with who is right: within chance of random escalation."""
    problems = [Tiered(problem_id=str(i), margin=(31 * i) % 97, small=i % 2 == 0, large=i % 3 > 0) for i in range(400)]
    found = curve(problems, COSTS, outcomes(budgets_between(COSTS, 5), problems))
    low, high = found["against_random"]["interval"]
    assert low < 0 < high and found["against_random"]["p_value"] > 0.05
    assert found["separation"] == pytest.approx(0.5, abs=0.05)


def test_what_makes_a_curve_say_nothing_is_said():
    same = [Tiered(problem_id=str(i), margin=1.0, small=i % 2 == 0, large=True) for i in range(20)]
    found = curve(same, COSTS, outcomes([2, 3], same))
    assert "all margins are the same" in found["remark"] and found["curve"][0]["escalated"] == 0
    worse = [Tiered(problem_id=str(i), margin=float(i), small=True, large=False) for i in range(20)]
    assert "no better" in curve(worse, COSTS, outcomes([2, 3], worse))["remark"]
    assert separation(worse) is None


def test_ties_of_margins_count_half():
    problems = [Tiered(problem_id=str(i), margin=m, small=s, large=True) for i, (m, s) in enumerate(_TIES)]
    assert separation(problems) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


_TIES = [(None, False), (0.5, True), (0.5, False), (0.9, True)]


def test_costs_in_another_unit_change_nothing():
    cents = Costs(small=100, large=500)
    in_cents = sweep(PROBLEMS, cents, [150, 350], CascadeRule.OURS, num_orders=3, seed=1)
    assert [one.right for one in in_cents] == [one.right for one in outcomes([1.5, 3.5], orders=3)]
