"""Columns of tables that say what K samples at T > 0 come to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from siked_ray.report.numbers import percent
from siked_ray.report.view import number


def reported_ks(all_figures: Iterable[Mapping[str, Any]]) -> list[str]:
    """The k of pass@k and majority@k in all of these."""
    return list(dict.fromkeys(k for figures in all_figures for k in figures["pass_at"]))


def drawn(figures: Mapping[str, Any]) -> str:
    """Such as `8 at T 0.7`."""
    return f"{figures['num_samples']} at T {figures['temperature']:g}"


def headings(ks: Sequence[str]) -> list[str]:
    return [*(f"pass@{k}" for k in ks), *(f"majority@{k}" for k in ks)]


def cells(figures: Mapping[str, Any], ks: Sequence[str]) -> list[str]:
    """Below those headings."""
    return [percent(number(figures, key, k)) for key in ("pass_at", "majority_at") for k in ks]
