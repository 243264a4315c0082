"""The report's tables of a student that tries a problem again, by another strategy, until it is right."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from siked_ray.report.numbers import NOTHING, count, decimals, percent
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import NO_STRATEGY, View, lookup, number, title_of


def has_attempts(view: View) -> bool:
    """Whether attempts were measured."""
    return bool(_measured(view))


def by_attempt(view: View) -> SummaryTable:
    """Iteration × problems: the share that is solved after 1, 2, … attempts."""
    found = [(title_of(one["problem_set"]), one) for one in _measured(view)]
    found += [("training problems, sampled", one) for one in _trained_on(view)]
    most = max(len(one["by_attempt"]) for _, one in found)
    rows = [
        [
            str(one["iteration"]),
            title,
            count(one["num_problems"]),
            *(percent(share) for share in one["by_attempt"]),
            *[NOTHING] * (most - len(one["by_attempt"])),
            decimals(one["mean_attempts"]),
        ]
        for title, one in found
    ]
    headings = ["iteration", "set", "problems", "right at first"]
    headings += [f"after {number}" for number in range(2, most + 1)]
    return SummaryTable(
        title="Accuracy by attempt",
        headings=[*headings, "attempts each"],
        rows=rows,
        best=view.best,
        num_text_columns=2,
    )


def before_and_after(view: View) -> SummaryTable:
    """Data set × iteration 0 and the best one, or the last: what is chosen, and what the best strategy alone solves."""
    last = view.best or max((one["iteration"] for one in view.evaluated), default=0)
    names = [*view.strategies, NO_STRATEGY]
    rows = []
    for dataset in view.datasets:
        for iteration in dict.fromkeys((0, last)):
            metrics = lookup(view.entry(iteration), "evaluation", dataset)
            if metrics:
                rows.append([title_of(dataset), str(iteration), *_chosen(metrics, names)])
    headings = ["set", "iteration", *(f"chooses {name}" for name in names)]
    headings += ["free", "the best strategy alone", "chose one that solves, where one does"]
    return SummaryTable(title="Choices before and after", headings=headings, rows=rows, num_text_columns=2)


def switched(view: View) -> SummaryTable:
    """Training problems in which another strategy worked than the one that was chosen first."""
    rows = [
        [str(one["iteration"]), first, *(count(worked.get(name, 0)) for name in view.strategies)]
        for one in _trained_on(view)
        for first, worked in one["switched"].items()
    ]
    headings = ["iteration", "chosen first ↓ worked →", *view.strategies]
    return SummaryTable(title="What worked instead, in training", headings=headings, rows=rows, num_text_columns=2)


def _chosen(metrics: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield percent(number(metrics, "strategy_histogram", name))
    forced = metrics.get("forced") or {}
    best = max(forced, key=lambda name: forced[name], default=None)
    yield percent(number(metrics, "free"))
    yield NOTHING if best is None else f"{best} {percent(forced[best])}"
    yield percent(number(metrics, "choices", "accuracy"))


def _measured(view: View) -> Sequence[Mapping[str, Any]]:
    return lookup(view.summary, "smart", "measured") or []


def _trained_on(view: View) -> Sequence[Mapping[str, Any]]:
    return lookup(view.summary, "smart", "trained_on") or []
