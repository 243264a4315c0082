"""Horizontal bars: a row per iteration, stacked or one below the other."""

from collections.abc import Sequence

from siked_ray.report.html.markup import Markup, element, joined
from siked_ray.report.html.svg import Format, Series, canvas, empty, label, tooltip

_WIDTH, _LEFT, _RIGHT = 400.0, 72.0, 322.0
_TOP, _BAR, _ROW_GAP = 4.0, 18.0, 8.0
#: Narrower segments carry no figure of their own; the tooltip and the table have it.
_MIN_LABELLED = 34.0


def stacked_bars(title: str, rows: Sequence[str], parts: Sequence[Series], show: Format, total: Format) -> Markup:
    """A bar per row made of its parts; `total` is written right of it. All bars have one scale, from 0."""
    sums = [sum(part.values[index] or 0 for part in parts) for index in range(len(rows))]
    if not any(sums):
        return empty(title, "nothing to show yet")
    scale = (_RIGHT - _LEFT) / max(sums)
    return canvas(
        title,
        _WIDTH,
        _TOP + len(rows) * (_BAR + _ROW_GAP),
        *(_stack(index, rows[index], parts, scale, show, total(sums[index])) for index in range(len(rows))),
    )


def _stack(index: int, row: str, parts: Sequence[Series], scale: float, show: Format, total: str) -> Markup:
    y, x = _TOP + index * (_BAR + _ROW_GAP), _LEFT
    drawn = [label(row, _LEFT - 8, y + _BAR / 2, anchor="end")]
    for part in parts:
        value = part.values[index] or 0
        if value > 0:
            drawn.append(_segment(part, row, x, y, value * scale, show(value)))
        x += value * scale
    return joined([*drawn, label(total, x + 6, y + _BAR / 2, css="name")])


def _segment(part: Series, row: str, x: float, y: float, width: float, shown: str) -> Markup:
    wide = width >= max(_MIN_LABELLED, 6.5 * len(shown))
    return element(
        "g",
        tooltip(f"{part.name}, {row}: {shown}"),
        element("rect", x=x, y=y, width=width, height=_BAR, class_="bar"),
        label(shown, x + width / 2, y + _BAR / 2, anchor="middle", css="inside") if wide else "",
        class_=part.css,
    )


def grouped_bars(
    title: str, rows: Sequence[str], series: Sequence[Series], show: Format, *, full: float = 0.0
) -> Markup:
    """A thin bar per row and series, its figure right of it. The longest possible bar stands for at least `full`."""
    if not any(value is not None for one in series for value in one.values):
        return empty(title, "nothing to show yet")
    largest = max([full, *(value or 0 for one in series for value in one.values)]) or 1.0
    scale = (_RIGHT - _LEFT) / largest
    thickness = _BAR if len(series) == 1 else 12.0
    row_height = len(series) * (thickness + 2) + _ROW_GAP
    drawn = []
    for index, row in enumerate(rows):
        top = _TOP + index * row_height
        drawn.append(label(row, _LEFT - 8, top + (row_height - _ROW_GAP) / 2, anchor="end"))
        for position, one in enumerate(series):
            y = top + position * (thickness + 2)
            drawn.append(_bar(one, row, y, thickness, one.values[index], scale, show))
    return canvas(title, _WIDTH, _TOP + len(rows) * row_height, *drawn)


def _bar(one: Series, row: str, y: float, thickness: float, value: float | None, scale: float, show: Format) -> Markup:
    width = (value or 0) * scale
    return element(
        "g",
        tooltip(f"{one.name}, {row}: {show(value)}"),
        element("rect", x=_LEFT, y=y, width=width, height=thickness, class_="bar"),
        label(show(value), _LEFT + width + 6, y + thickness / 2, css="name"),
        class_=one.css,
    )
