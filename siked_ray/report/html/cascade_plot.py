"""The report's plot of a cascade."""

from collections.abc import Mapping, Sequence
from typing import Any

from siked_ray.report.html.markup import Markup, joined
from siked_ray.report.html.style import MAIN, NEUTRAL, SIDE
from siked_ray.report.html.svg import Series, figure
from siked_ray.report.html.svg_lines import line_chart
from siked_ray.report.view import View, title_of


def cascade(view: View) -> Markup:
    """Accuracy by budget of each set, beside random escalation and the best that could be."""
    return joined(_of_set(name, one["curve"]) for name, one in view.cascade.items())


def _of_set(name: str, points: Sequence[Mapping[str, Any]]) -> Markup:
    title = f"Accuracy by budget · {title_of(name)}"
    series = [
        Series(name="oracle", css=SIDE, values=[one["oracle"] for one in points], dashed=True),
        Series(name="random", css=NEUTRAL, values=[one["random"] for one in points]),
        Series(
            name="cascade",
            css=MAIN,
            values=[one["accuracy"] for one in points],
            intervals=[(one["interval"][0], one["interval"][1]) for one in points],
        ),
    ]
    budgets = [f"{one['budget']:.3g}" for one in points]
    note = "random: the same spent on problems drawn at random; oracle: on those where it helps"
    return figure(title, line_chart(title, budgets, series, _whole_percent, axis="budget per problem"), note=note)


def _whole_percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
