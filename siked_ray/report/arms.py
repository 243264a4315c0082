"""Students that no iteration made, side by side: those of a grid, specialists, merges."""

from collections.abc import Mapping
from typing import Any

from siked_ray.report import sample_columns
from siked_ray.report.numbers import count, decimals, duration, percent, percent_range, points_between, rate
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import View, interval, number, title_of


def arms(view: View) -> SummaryTable:
    """Student × data set: accuracies, the difference from another one, and what training took."""
    measured = [metrics for one in view.arms for metrics in _evaluation(one).values()]
    strategies = list(dict.fromkeys(name for metrics in measured for name in metrics["forced"]))
    rows = [
        [
            one["name"],
            title_of(dataset),
            percent(metrics["free"]),
            percent_range(interval(metrics)),
            _difference(metrics),
            percent(metrics["oracle"]),
            *(percent(number(metrics, "forced", name)) for name in strategies),
            *_training(one),
        ]
        for one in view.arms
        for dataset, metrics in _evaluation(one).items()
    ]
    headings = ["student", "set", "free", "95% interval", "difference from", "oracle"]
    headings += [*(f"{name} forced" for name in strategies), "steps", "tokens/s", "time", "last loss"]
    return SummaryTable(title="Students", headings=headings, rows=rows, num_text_columns=2)


def sampled_arms(view: View) -> SummaryTable:
    """Student × data set: what K samples at T > 0 say."""
    found = [
        (one["name"], dataset, metrics["samples"])
        for one in view.arms
        for dataset, metrics in _evaluation(one).items()
        if metrics.get("samples")
    ]
    ks = sample_columns.reported_ks(figures for *_, figures in found)
    rows = [
        [
            name,
            title_of(dataset),
            sample_columns.drawn(figures),
            f"{percent(figures['average'])} ({percent_range(figures['intervals']['average'])})",
            *sample_columns.cells(figures, ks),
        ]
        for name, dataset, figures in found
    ]
    headings = ["student", "set", "samples", "mean (avg@K)", *sample_columns.headings(ks)]
    return SummaryTable(title="Samples", headings=headings, rows=rows, num_text_columns=3)


def merged(view: View) -> SummaryTable:
    """What merged students were made of: λ and the length of each task vector, and what λ minimises."""
    rows = [
        [
            one["name"],
            part,
            decimals(weight),
            decimals(one["merge"]["norms"][part]),
            percent(one["merge"]["unmoved"][part]),
            decimals(one["merge"]["loss_bound"]),
        ]
        for one in view.arms
        if "merge" in one
        for part, weight in one["merge"]["weights"].items()
    ]
    headings = ["student", "part", "λ", "‖τ‖", "weights as in the base", "bound on the losses' rise"]
    return SummaryTable(title="Merged", headings=headings, rows=rows, num_text_columns=2)


def _evaluation(arm: Mapping[str, Any]) -> Mapping[str, Any]:
    return arm.get("evaluation") or {}


def _difference(metrics: Mapping[str, Any]) -> str:
    """From the first student whose free answers it was compared with; others are shown with what was asked for."""
    for other, paired in (metrics.get("paired") or {}).items():
        if "requested" not in paired:
            return f"{other}: {points_between(paired['difference'], paired['interval'])}"
    return "–"


def _training(arm: Mapping[str, Any]) -> list[str]:
    stage = arm.get("training")
    steps, tokens, seconds, loss = (number(stage, key) for key in ("steps", "tokens", "seconds", "last_loss"))
    return [count(steps), count(rate(tokens, seconds)), duration(seconds), decimals(loss)]
