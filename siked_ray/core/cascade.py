"""Whom a problem goes to when a small model asks a large one where it is unsure and a budget allows it.

After two-tier selection (arXiv 2405.02134). Problems come one by one. The small model answers each, for `small` of
cost; a problem is escalated to the large one, for `large` more, where the margin is below a quantile of the margins
seen so far, at p = min((budget - small) / large, 1).
"""

import math
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

#: Sums of costs differ by less than this by the order of their terms; in units of the small model's cost.
_ROUNDING = 1e-9


class CascadeRule(StrEnum):
    """`ours` never spends above the budget and looks at earlier margins alone; `published` is what the authors' code
    does (guillemram97/margin_llms, `make_cascade` with fixed costs)."""

    OURS = "ours"
    PUBLISHED = "published"


class Route(StrEnum):
    """Whose answer a problem gets."""

    SMALL = "small"
    ESCALATED = "escalated"  # both were asked, the large one's counts
    LARGE = "large"  # the large one alone (`published`)
    NOBODY = "nobody"  # the budget was used up (`published`)


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Of one problem, in any unit."""

    small: float
    large: float

    def of(self, route: Route) -> float:
        """What a problem with this route costs."""
        return {
            Route.SMALL: self.small,
            Route.ESCALATED: self.small + self.large,
            Route.LARGE: self.large,
            Route.NOBODY: 0.0,
        }[route]

    def problem_with(self, budget: float) -> str | None:
        """Why there is no cascade with these costs and a budget per problem, as the end of a sentence; None where
        there is one."""
        if not 0 <= self.small < self.large:
            return f"the small model costs {self.small:g} a problem and the large one {self.large:g}: it has to be less"
        if budget < self.small * (1 - _ROUNDING):
            return f"a budget of {budget:g} a problem does not pay for the small model, which costs {self.small:g}"
        return None


def quantile(ordered: Sequence[float], p: float) -> float:
    """Of numbers in rising order, interpolated as numpy does by default."""
    place = (len(ordered) - 1) * p
    below = math.floor(place)
    low, high, share = ordered[below], ordered[min(below + 1, len(ordered) - 1)], place - below
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def routes(margins: Sequence[float | None], costs: Costs, budget: float, rule: CascadeRule) -> list[Route]:
    """The route of each problem, in the order in which they come. A margin of None is below all others. `budget` is
    per problem; it has to pay for the small model (`Costs.problem_with`)."""
    p = min((budget - costs.small) / costs.large, 1.0)
    return _RULES[rule](margins, costs, budget * len(margins), max(p, 0.0))


def _ours(margins: Sequence[float | None], costs: Costs, budget: float, p: float) -> list[Route]:
    """What the small model will cost for the problems to come is set aside, so that the budget is never overspent."""
    seen: list[float] = []
    found: list[Route] = []
    budget += _ROUNDING * costs.small
    spent = 0.0
    for index, margin in enumerate(margins):
        spent += costs.small
        is_unsure = p >= 1 or (p > 0 if margin is None else bool(seen) and margin < quantile(seen, p))
        to_come = (len(margins) - index - 1) * costs.small
        if is_unsure and spent + costs.large + to_come <= budget:
            spent += costs.large
            found.append(Route.ESCALATED)
        else:
            found.append(Route.SMALL)
        if margin is not None:
            insort(seen, margin)
    return found


#: Margins that the published rule sees before it escalates anything.
_PUBLISHED_WARM_UP = 20


def _published(margins: Sequence[float | None], costs: Costs, budget: float, p: float) -> list[Route]:
    """With a margin's own place among those seen, an upper order statistic, and the large model alone from where on the
    budget pays for it; the large model has to be the better one."""
    seen: list[float] = []
    found: list[Route] = []
    left = budget
    for index, margin in enumerate(margins):
        num_left = len(margins) - index
        own = -math.inf if margin is None else margin
        if left < costs.small:
            route = Route.NOBODY
        elif left - num_left * costs.small <= 0:
            route = Route.SMALL
            insort(seen, own)
        elif left - num_left * costs.large >= 0:
            route = Route.LARGE
        else:
            insort(seen, own)
            can_pay = left - costs.small - costs.large >= 0
            route = Route.ESCALATED if own < _published_threshold(seen, p) and can_pay else Route.SMALL
        left -= costs.of(route)
        found.append(route)
    return found


def _published_threshold(seen: Sequence[float], p: float) -> float:
    if len(seen) <= _PUBLISHED_WARM_UP:
        return -math.inf
    place = int(len(seen) * p)
    return math.inf if place >= len(seen) else seen[place]


_RULES: dict[CascadeRule, Callable[[Sequence[float | None], Costs, float, float], list[Route]]] = {
    CascadeRule.OURS: _ours,
    CascadeRule.PUBLISHED: _published,
}
