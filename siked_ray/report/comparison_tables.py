"""Compared students as tables: for the page and for the screen."""

from siked_ray.core.rollout import FREE
from siked_ray.report.comparison import ComparedSet, Measure
from siked_ray.report.numbers import count, percent, percent_range, points, probability
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import title_of


def accuracies(one: ComparedSet) -> SummaryTable:
    """Student × way of asking, each with its 95 % interval."""
    rows = [
        [
            name,
            *(f"{percent(of[name][0])} ({percent_range(of[name][1])})" for of in (m.accuracies for m in one.measures)),
        ]
        for name in one.students
    ]
    title = f"Accuracy · {title_of(one.problem_set)} · {count(one.num_problems)} problems"
    return SummaryTable(title=title, headings=["student", *map(way_of_asking, one.measures)], rows=rows)


def differences(one: ComparedSet) -> SummaryTable:
    """Every two students; Holm's correction is over the rows that ask in the same way."""
    corrected = any(len(measure.pairs) > 1 for measure in one.measures)
    rows = [
        [
            way_of_asking(measure),
            f"{pair.other} against {pair.one}",
            count(pair.paired.gained),
            count(pair.paired.lost),
            points(pair.paired.difference),
            " to ".join(f"{bound * 100:+.1f}" for bound in pair.paired.interval).replace("-", "−"),
            probability(pair.paired.p_value),
            *([probability(pair.p_holm)] if corrected else ()),
        ]
        for measure in one.measures
        for pair in measure.pairs
    ]
    headings = ["asked", "students", "gained", "lost", "difference", "95% interval", "p (McNemar)"]
    headings += ["p (Holm)"] if corrected else []
    title = f"Paired differences · {title_of(one.problem_set)}"
    return SummaryTable(title=title, headings=headings, rows=rows, num_text_columns=2)


def way_of_asking(measure: Measure) -> str:
    """As headings have it."""
    return FREE if measure.requested == FREE else f"{measure.requested} forced"
