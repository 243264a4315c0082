"""Figures as text, and the interval of an accuracy."""

import math
from collections.abc import Sequence

#: Normal quantile of a 95 % interval.
_Z = 1.96
#: What stands for a figure that is not there.
NOTHING = "–"


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"


def percent_range(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low * 100:.1f}–{high * 100:.1f}%"


def decimals(value: float | None) -> str:
    """Two decimals more than the size of a small number needs: 0.412, 0.0031, 12.3."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}" if abs(value) >= 0.01 or not value else f"{value:.2g}"


def share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def count(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def short_count(value: float | None) -> str:
    """1.2 M for 1,234,567: for labels in plots."""
    if value is None:
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """0.5 s, 42 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def points(difference: float) -> str:
    """A difference of two accuracies in percentage points, with its sign."""
    value = round(difference * 100, 1)
    return "no difference" if value == 0 else f"{value:+.1f} points".replace("-", "−")


def points_between(difference: float, interval: Sequence[float]) -> str:
    """The same with its interval."""
    low, high = (f"{bound * 100:+.1f}".replace("-", "−") for bound in interval)
    return f"{points(difference)} [{low}, {high}]"


def probability(p: float) -> str:
    """A p-value: 0.034, or < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def rate(amount: float | None, seconds: float | None) -> float | None:
    """Amount per second; None where one of them is unknown or no time has passed."""
    return amount / seconds if amount is not None and seconds else None


def finite(value: float | None) -> float | None:
    """None for what cannot be drawn."""
    return value if value is not None and math.isfinite(value) else None


def wilson_interval(accuracy: float, num_problems: int) -> tuple[float, float]:
    """95 % interval of a share of `num_problems` (Wilson's score interval, which stays within 0 and 1)."""
    if num_problems < 1:
        return 0.0, 1.0
    spread = _Z**2 / num_problems
    centre = (accuracy + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(accuracy * (1 - accuracy) / num_problems + spread / (4 * num_problems)) / (1 + spread)
    return max(centre - half, 0.0), min(centre + half, 1.0)
