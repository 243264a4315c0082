"""Differences with their intervals, one below the other, about a line at 0."""

from collections.abc import Sequence
from dataclasses import dataclass

from siked_ray.report.html.markup import Markup, element, joined
from siked_ray.report.html.svg import Format, canvas, empty, label, ticks, tooltip

_WIDTH, _LEFT, _RIGHT = 570.0, 300.0, 490.0
_TOP, _ROW = 6.0, 20.0
_MAX_NAME = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """`interval` has the value in it; `css` is the colour's class."""

    name: str
    value: float
    interval: tuple[float, float]
    css: str


def interval_chart(title: str, rows: Sequence[Difference], show: Format) -> Markup:
    """A dot and a bar per row, on one scale that is as wide to the left of 0 as to the right."""
    if not rows:
        return empty(title, "nothing to show")
    largest = max(max(map(abs, (*one.interval, one.value))) for one in rows)
    steps = ticks(largest)[1:] if largest else [0.01]
    scale = (_RIGHT - _LEFT) / (2 * steps[-1])
    middle, bottom = (_LEFT + _RIGHT) / 2, _TOP + len(rows) * _ROW
    axes = [_axis(middle + at * scale, bottom, show(at), at == 0) for at in (-steps[-1], 0.0, steps[-1])]
    drawn = [_row(one, _TOP + (index + 0.5) * _ROW, middle, scale, show) for index, one in enumerate(rows)]
    return canvas(title, _WIDTH, bottom + 22, joined(axes), joined(drawn))


def _axis(x: float, bottom: float, shown: str, is_zero: bool) -> Markup:
    line = element("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="axis" if is_zero else "grid")
    return joined([line, label(shown, x, bottom + 12, anchor="middle")])


def _row(one: Difference, y: float, middle: float, scale: float, show: Format) -> Markup:
    low, high = (middle + bound * scale for bound in one.interval)
    said = f"{one.name}: {show(one.value)} [{show(one.interval[0])}, {show(one.interval[1])}]"
    name = one.name if len(one.name) <= _MAX_NAME else f"{one.name[: _MAX_NAME - 1]}…"
    return element(
        "g",
        tooltip(said),
        label(name, _LEFT - 8, y, anchor="end"),
        element("line", x1=low, x2=high, y1=y, y2=y, class_="whisker"),
        element("circle", cx=middle + one.value * scale, cy=y, r=3.6),
        label(show(one.value), _RIGHT + 10, y, css="name"),
        class_=one.css,
    )
