"""What a cascade is worth at each budget: accuracy against cost, beside random escalation at the same cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from statistics import fmean, stdev
from typing import Any

from siked_ray.core.cascade import CascadeRule, Costs, Route, routes
from siked_ray.core.ids import content_hash
from siked_ray.core.intervals import bootstrap_interval

#: Means of few orders have few values; differences are rounded to so many decimals, to be drawn again as cheaply.
_DECIMALS = 3
_NO_DEVIATION = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiered:
    """A problem: how sure the small model was, and whether each of the two is right."""

    problem_id: str
    margin: float | None
    small: bool
    large: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AtBudget:
    """A cascade at one budget, over all orders: per problem the share of orders in which its answer was right
    (`right`), and in which random escalation at the same cost is right (`random`). `cost` is the mean spent on a
    problem, `escalated` the share that the large model was asked."""

    budget: float
    cost: float
    escalated: float
    right: Sequence[float]
    random: Sequence[float]


def sweep(
    problems: Sequence[Tiered],
    costs: Costs,
    budgets: Sequence[float],
    rule: CascadeRule,
    *,
    num_orders: int,
    seed: int,
) -> list[AtBudget]:
    """Cascades over the problems at each budget, in several orders drawn by seed."""
    orders = [_order(problems, order, seed) for order in range(num_orders)]
    return [_at_budget(problems, costs, budget, rule, orders) for budget in budgets]


def _order(problems: Sequence[Tiered], order: int, seed: int) -> list[int]:
    keys = [content_hash("order", seed, order, one.problem_id) for one in problems]
    return sorted(range(len(problems)), key=keys.__getitem__)


def _at_budget(
    problems: Sequence[Tiered], costs: Costs, budget: float, rule: CascadeRule, orders: Sequence[Sequence[int]]
) -> AtBudget:
    """Random escalation asks the large model for each problem with the probability that spends as much in the mean; its
    accuracy is exact, not drawn."""
    right, random = [0.0] * len(problems), [0.0] * len(problems)
    cost = escalated = 0.0
    for order in orders:
        taken = routes([problems[index].margin for index in order], costs, budget, rule)
        spent = sum(map(costs.of, taken)) / len(problems)
        chance = min(max((spent - costs.small) / costs.large, 0.0), 1.0)
        cost += spent / len(orders)
        for index, route in zip(order, taken, strict=True):
            one = problems[index]
            asked_large = route in (Route.ESCALATED, Route.LARGE)
            escalated += asked_large / len(problems) / len(orders)
            answered = one.large if asked_large else one.small and route is Route.SMALL
            right[index] += answered / len(orders)
            random[index] += ((1 - chance) * one.small + chance * one.large) / len(orders)
    return AtBudget(budget=budget, cost=cost, escalated=escalated, right=right, random=random)


def budgets_between(costs: Costs, number: int) -> list[float]:
    """Evenly from the small model's cost to the large one's: above that the large one alone is cheaper."""
    return [costs.small + (costs.large - costs.small) * index / (number - 1) for index in range(number)]


def oracle(problems: Sequence[Tiered], costs: Costs, budget: float) -> float:
    """The accuracy of escalating exactly where that alone helps, as far as the budget goes."""
    helped = fmean(one.large and not one.small for one in problems)
    return fmean(one.small for one in problems) + min(helped, max(budget - costs.small, 0.0) / costs.large)


def area(budgets: Sequence[float], values: Sequence[float]) -> float:
    """The mean of a curve over its budgets, by trapezia."""
    pieces = zip(budgets, budgets[1:], values, values[1:], strict=False)
    return sum((b - a) * (x + y) / 2 for a, b, x, y in pieces) / (budgets[-1] - budgets[0])


def separation(problems: Sequence[Tiered]) -> float | None:
    """The chance that a problem which the small model solves has a larger margin than one which it does not (AUROC;
    equal margins count half); None where it solves all or none."""
    ranked = sorted((-math.inf if one.margin is None else one.margin, one.small) for one in problems)
    num_right = sum(right for _, right in ranked)
    pairs = num_right * (len(ranked) - num_right)
    if not pairs:
        return None
    better = below = 0.0
    for _, tied in groupby(ranked, key=itemgetter(0)):
        solved = [right for _, right in tied]
        num_wrong = len(solved) - sum(solved)
        better += sum(solved) * (below + num_wrong / 2)
        below += num_wrong
    return better / pairs


def curve(problems: Sequence[Tiered], costs: Costs, outcomes: Sequence[AtBudget]) -> dict[str, Any]:
    """Figures for the record: the curve with intervals, areas where it has several budgets, and the gain on random
    escalation."""
    budgets = [one.budget for one in outcomes]
    points = [_point(one, oracle(problems, costs, one.budget)) for one in outcomes]
    gains = [_gains(one) for one in outcomes]
    several = len(outcomes) > 1
    mean_gains = [area(budgets, column) if several else column[0] for column in zip(*gains, strict=True)]
    return {
        "num_problems": len(problems),
        "costs": [costs.small, costs.large],
        "small": _accuracy([one.small for one in problems]),
        "large": _accuracy([one.large for one in problems]),
        "separation": separation(problems),
        "curve": points,
        **({"area": {name: _area_of(points, name) for name in ("accuracy", "random", "oracle")}} if several else {}),
        "against_random": _compared(mean_gains),
        "remark": _remark(problems),
    }


def _point(outcome: AtBudget, best: float) -> dict[str, Any]:
    return {
        "budget": outcome.budget,
        "cost": outcome.cost,
        "escalated": outcome.escalated,
        **_accuracy(outcome.right),
        "random": fmean(outcome.random),
        "oracle": best,
    }


def _area_of(points: Sequence[dict[str, Any]], name: str) -> float:
    return area([one["budget"] for one in points], [one[name] for one in points])


def _accuracy(right: Sequence[float]) -> dict[str, Any]:
    return {"accuracy": fmean(right), "interval": bootstrap_interval([round(one, _DECIMALS) for one in right])}


def _gains(outcome: AtBudget) -> list[float]:
    return [one - other for one, other in zip(outcome.right, outcome.random, strict=True)]


def _compared(gains: Sequence[float]) -> dict[str, Any]:
    """The mean over problems, its interval, and the two-sided p of a paired z test."""
    mean, deviation = fmean(gains), stdev(gains) if len(gains) > 1 else 0.0
    z = abs(mean) / max(deviation, _NO_DEVIATION) * math.sqrt(len(gains))
    return {
        "num_problems": len(gains),
        "difference": mean,
        "interval": bootstrap_interval([round(one, _DECIMALS) for one in gains]),
        "p_value": math.erfc(z / math.sqrt(2)),
    }


def _remark(problems: Sequence[Tiered]) -> str:
    """What makes a curve say nothing."""
    if len({one.margin for one in problems}) == 1:
        return "all margins are the same, so that nothing is escalated before everything is"
    if fmean(one.large for one in problems) <= fmean(one.small for one in problems):
        return "the large model is no better than the small one here"
    return ""
