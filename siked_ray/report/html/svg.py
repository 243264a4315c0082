"""Plots as inline SVG. Colours are CSS classes (`html_style`), so that one drawing serves light and dark.

A series is a name with one value per category; None leaves a gap. Every mark carries its figure as a tooltip.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from siked_ray.report.html.markup import Markup, element, joined

Format = Callable[[float | None], str]

#: Characters of a name beside a plot; its figure has to fit too.
_MAX_NAME = 10


@dataclass(frozen=True, kw_only=True)
class Series:
    """`css` is the colour's class. `intervals` are drawn as whiskers."""

    name: str
    css: str
    values: Sequence[float | None]
    intervals: Sequence[tuple[float, float] | None] = ()
    dashed: bool = False


def figure(title: str, drawing: Markup, *, legend: Sequence[Series] = (), note: str = "") -> Markup:
    """A plot with its caption, a legend where the marks do not name themselves, and a line below."""
    keys = (element("span", element("i", class_=f"key {one.css}"), one.name) for one in legend)
    return element(
        "figure",
        element("figcaption", title),
        element("div", *keys, class_="legend") if legend else "",
        drawing,
        element("p", note, class_="note") if note else "",
    )


def canvas(title: str, width: float, height: float, *children: Markup) -> Markup:
    """An SVG of this many user units; it shrinks with the page."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=title,
        style=f"max-width:{width * 1.25:g}px",
    )


def label(text: str, x: float, y: float, *, anchor: str = "start", css: str = "tick") -> Markup:
    """Text, its middle at the height y."""
    return element("text", text, x=x, y=y + 3.8, text_anchor=anchor, class_=css)


def tooltip(text: str) -> Markup:
    """What a browser shows when the pointer rests on the mark around it."""
    return element("title", text)


def shortened(name: str) -> str:
    """A name that fits beside a plot."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def ticks(largest: float) -> list[float]:
    """Round numbers from 0 to the first one at or above `largest`, four to six of them."""
    if largest <= 0:
        return [0.0, 1.0]
    magnitude = 10.0 ** math.floor(math.log10(largest))
    step = next(factor * magnitude for factor in (0.2, 0.25, 0.5, 1, 2) if largest / (factor * magnitude) < 5 + 1e-9)
    return [index * step for index in range(math.ceil(largest / step - 1e-9) + 1)]


def empty(title: str, message: str) -> Markup:
    """In the place of a plot that has nothing to show yet."""
    return canvas(title, 380, 60, joined([label(message, 190, 30, anchor="middle", css="tick")]))
