"""The report's tables of student and teacher, token by token."""

from collections.abc import Iterator, Mapping
from typing import Any

from siked_ray.report.numbers import count, decimals, percent
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import View, lookup, title_of

_SHOWN = 160


def divergences(view: View) -> SummaryTable:
    """Iteration × data set × strategy: how far student and teacher are apart on the student's own solutions."""
    rows = [
        [
            str(entry["iteration"]),
            title_of(dataset),
            strategy,
            *(count(one[key]) for key in ("solutions", "tokens")),
            *(decimals(one[key]) for key in ("forward_kl", "reverse_kl", "forward_kl_right", "forward_kl_wrong")),
            percent(one["other_token"]),
        ]
        for entry, dataset, found in _found(view)
        for strategy, one in found["by_strategy"].items()
    ]
    headings = ["iteration", "set", "strategy", "solutions", "tokens", "KL(T‖S) a token", "KL(S‖T)"]
    headings += ["KL(T‖S), right", "wrong", "teacher's first choice is another"]
    return SummaryTable(title="Divergence", headings=headings, rows=rows, best=view.best, num_text_columns=3)


def partings(view: View) -> SummaryTable:
    """Where the teacher would have gone another way on wrong solutions of the best student."""
    rows = [
        [
            one["strategy"],
            f"{_end(one['question'])} (answer: {one['answer']})",
            _end(one["before"]),
            repr(one["student"]),
            ", ".join(f"{likely['token']!r} {percent(likely['probability'])}" for likely in one["teacher"]),
            decimals(one["divergence"]),
        ]
        for entry, _, found in _found(view)
        if entry["iteration"] == view.best
        for one in found["partings"]
    ]
    headings = ["strategy", "question", "the student wrote", "went on with", "the teacher would have", "KL(T‖S) there"]
    return SummaryTable(title="Where they part on wrong solutions", headings=headings, rows=rows, num_text_columns=5)


def has_divergences(view: View) -> bool:
    """Whether a teacher has read the student's solutions."""
    return any(True for _ in _found(view))


def _found(view: View) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    for entry in view.evaluated:
        for dataset in entry["evaluation"]:
            if found := lookup(entry, "evaluation", dataset, "divergence"):
                yield entry, dataset, found


def _end(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"… {line[-_SHOWN:]}"
