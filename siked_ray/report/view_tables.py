"""The report's tables of MinT's views: what data sets gave, and what learning all of them is worth."""

from collections.abc import Iterator, Mapping
from typing import Any

from siked_ray.report.numbers import count, percent, points_between, probability
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import View, lookup, number, title_of


def views(view: View) -> SummaryTable:
    """View × data set: rationales by what the verifier said, and rows that were trained on."""
    rows = [
        [name, dataset, *(count(found[key]) for key in ("rationales", "right", "wrong", "unchecked", "rows", "noisy"))]
        for name, by_dataset in view.views.items()
        for dataset, found in by_dataset.items()
    ]
    headings = ["view", "data set", "rationales", "right", "wrong", "cannot be checked", "trained on", "of these noisy"]
    return SummaryTable(title="Views", headings=headings, rows=rows, num_text_columns=2)


def asked_for_views(view: View) -> SummaryTable:
    """View × problem set: the student that was trained on all views and those of one, asked for that view."""
    rows = [
        [
            paired["requested"],
            title_of(dataset),
            percent(number(metrics, "forced", paired["requested"])),
            percent(number(_evaluation(view, label), dataset, "forced", paired["requested"])),
            points_between(paired["difference"], paired["interval"]),
            probability(paired["p_value"]),
        ]
        for dataset, metrics in _of_all(view)
        for label, paired in (metrics.get("paired") or {}).items()
        if "requested" in paired
    ]
    headings = ["asked for", "set", "all views", "that view alone", "difference", "p (McNemar)"]
    return SummaryTable(title="All views against each alone", headings=headings, rows=rows, num_text_columns=2)


def _of_all(view: View) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for arm in view.arms:
        yield from (arm.get("evaluation") or {}).items()


def _evaluation(view: View, label: str) -> Any:
    return next((lookup(arm, "evaluation") for arm in view.arms if arm["name"] == label), None)
