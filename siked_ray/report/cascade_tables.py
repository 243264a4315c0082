"""The report's tables of a cascade: what asking a large model is worth at each budget."""

from collections.abc import Mapping
from typing import Any

from siked_ray.report.numbers import NOTHING, decimals, percent, percent_range
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import View, number, title_of

#: Of what the large model gains on the small one.
_MOST = 0.9


def totals(view: View) -> SummaryTable:
    """A line per set: the two models, the areas under the curves, and what most of the gain costs."""
    rows = [
        [
            title_of(name),
            one["margin"],
            one["rule"],
            *(percent(one[model]["accuracy"]) for model in ("small", "large")),
            *(percent(number(one, "area", key)) for key in ("accuracy", "random", "oracle")),
            decimals(one["separation"]),
            _cost_of_most(one),
            one["remark"] or NOTHING,
        ]
        for name, one in view.cascade.items()
    ]
    headings = ["set", "margin", "rule", "small", "large", "cascade, mean over budgets", "random", "oracle"]
    headings += ["AUROC of the margin", f"{_MOST:.0%} of the gain for", "remark"]
    return SummaryTable(title="Two models, and a cascade of them", headings=headings, rows=rows, num_text_columns=3)


def curves(view: View) -> SummaryTable:
    """Accuracy against cost."""
    rows = [
        [
            title_of(name),
            *(decimals(point[key]) for key in ("budget", "cost")),
            percent(point["escalated"]),
            percent(point["accuracy"]),
            percent_range(point["interval"]),
            *(percent(point[key]) for key in ("random", "oracle")),
        ]
        for name, one in view.cascade.items()
        for point in one["curve"]
    ]
    headings = ["set", "budget", "cost", "escalated", "accuracy", "95% interval", "random at equal cost", "oracle"]
    return SummaryTable(title="Accuracy against cost, per problem", headings=headings, rows=rows)


def _cost_of_most(one: Mapping[str, Any]) -> str:
    """The least cost of the curve that reaches most of the gain, as a share of the large model's."""
    small, large = (one[model]["accuracy"] for model in ("small", "large"))
    wanted = small + _MOST * (large - small)
    costs = [point["cost"] for point in one["curve"] if large > small and point["accuracy"] >= wanted]
    return f"{min(costs) / one['costs'][1]:.0%} of the large model's cost" if costs else NOTHING
