"""Line plots over the iterations, each line named at its end."""

import math
from collections.abc import Sequence

from siked_ray.report.html.markup import Markup, element, joined
from siked_ray.report.html.svg import Format, Series, canvas, empty, label, shortened, ticks, tooltip

_WIDTH, _HEIGHT = 400.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 284.0, 12.0, 200.0
_LABEL_GAP = 13.0
_MAX_X_LABELS = 12


def line_chart(
    title: str, categories: Sequence[str], series: Sequence[Series], show: Format, *, axis: str = "iteration"
) -> Markup:
    """Lines over equally spaced categories, from 0 up; a category without a value interrupts its line."""
    drawn = [one for one in series if any(value is not None for value in one.values)]
    if not drawn:
        return empty(title, "nothing to show yet")
    levels = ticks(max(_highest(one) for one in drawn))
    scale = _Scale(num_categories=len(categories), top=levels[-1])
    return canvas(
        title,
        _WIDTH,
        _HEIGHT,
        joined(_grid(level, scale, show) for level in levels),
        joined(_category(index, name, scale) for index, name in enumerate(categories) if scale.has_label(index)),
        label(axis, (_LEFT + _RIGHT) / 2, _BOTTOM + 32, anchor="middle"),
        joined(_line(one, categories, scale, show) for one in drawn),
        _names(drawn, scale, show),
    )


class _Scale:
    """From category and value to user units."""

    def __init__(self, *, num_categories: int, top: float) -> None:
        self._num_categories = num_categories
        self._top = top

    def x(self, index: int) -> float:
        if self._num_categories == 1:
            return (_LEFT + _RIGHT) / 2
        return _LEFT + 14 + index * (_RIGHT - _LEFT - 28) / (self._num_categories - 1)

    def y(self, value: float) -> float:
        return _BOTTOM - value / self._top * (_BOTTOM - _TOP)

    def has_label(self, index: int) -> bool:
        return index % math.ceil(self._num_categories / _MAX_X_LABELS) == 0


def _highest(series: Series) -> float:
    bounds = [interval[1] for interval in series.intervals if interval]
    return max([value for value in series.values if value is not None] + bounds)


def _grid(level: float, scale: _Scale, show: Format) -> Markup:
    y = scale.y(level)
    line = element("line", x1=_LEFT, x2=_RIGHT, y1=y, y2=y, class_="axis" if level == 0 else "grid")
    return joined([line, label(show(level), _LEFT - 6, y, anchor="end")])


def _category(index: int, name: str, scale: _Scale) -> Markup:
    return label(name, scale.x(index), _BOTTOM + 14, anchor="middle")


def _line(series: Series, categories: Sequence[str], scale: _Scale, show: Format) -> Markup:
    points = [
        (scale.x(index), scale.y(value)) if value is not None else None for index, value in enumerate(series.values)
    ]
    whiskers = (
        element("line", x1=scale.x(index), x2=scale.x(index), y1=scale.y(low), y2=scale.y(high), class_="whisker")
        for index, (low, high) in ((i, interval) for i, interval in enumerate(series.intervals) if interval)
    )
    path = element("path", d=_path(points), class_="line dashed" if series.dashed else "line")
    dots = (
        element("circle", tooltip(f"{series.name}, {category}: {show(value)}"), cx=point[0], cy=point[1], r=3.2)
        for point, value, category in zip(points, series.values, categories, strict=True)
        if point
    )
    return element("g", *whiskers, path, *dots, class_=series.css)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Straight lines between neighbours, a new start after a gap."""
    commands, pen_down = [], False
    for point in points:
        if point:
            commands.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        pen_down = point is not None
    return "".join(commands)


def _names(series: Sequence[Series], scale: _Scale, show: Format) -> Markup:
    """Name and last value right of each line, moved apart where they would overlap."""
    last = [next(value for value in reversed(one.values) if value is not None) for one in series]
    heights = spread_out([scale.y(value) for value in last], gap=_LABEL_GAP, top=_TOP, bottom=_BOTTOM)
    return joined(
        joined(
            [
                element("line", x1=_RIGHT + 8, x2=_RIGHT + 20, y1=y, y2=y, class_=_key_class(one)),
                label(f"{shortened(one.name)} {show(value)}", _RIGHT + 24, y, css="name"),
            ]
        )
        for one, value, y in zip(series, last, heights, strict=True)
    )


def _key_class(series: Series) -> str:
    return f"{series.css} line dashed" if series.dashed else f"{series.css} line"


def spread_out(heights: Sequence[float], *, gap: float, top: float, bottom: float) -> list[float]:
    """Heights in the same order from top to bottom, at least `gap` apart, within [top, bottom] if they fit at all."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    lowest = top - gap
    for index in order:
        lowest = placed[index] = max(heights[index], lowest + gap)
    highest = bottom + gap
    for index in reversed(order):
        highest = placed[index] = min(placed[index], highest - gap)
    return placed
