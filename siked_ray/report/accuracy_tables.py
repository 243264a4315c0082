"""The report's tables of accuracies and choices, by iteration and data set."""

from collections.abc import Iterator, Mapping
from typing import Any

from siked_ray.report import sample_columns
from siked_ray.report.numbers import count, percent, percent_range, points, probability
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import NO_STRATEGY, View, interval, lookup, number, title_of


def accuracies(view: View) -> SummaryTable:
    """Iteration × data set: free, oracle, by majority and forced."""
    headings = ["iteration", "set", "problems", "free", "95% interval", "oracle", "majority"]
    rows = [
        [
            iteration,
            title_of(dataset),
            count(metrics["num_problems"]),
            percent(metrics["free"]),
            percent_range(interval(metrics)),
            percent(metrics["oracle"]),
            percent(number(metrics, "majority")),
            *(percent(number(metrics, "forced", name)) for name in view.strategies),
        ]
        for iteration, dataset, metrics in _evaluations(view)
    ]
    headings += [f"{name} forced" for name in view.strategies]
    return SummaryTable(title="Accuracy", headings=headings, rows=rows, best=view.best, num_text_columns=2)


def samples(view: View) -> SummaryTable:
    """Iteration × data set: what K samples at T > 0 say beside the greedy completion; k is one that all have."""
    found = [(*one, one[2]["samples"]) for one in _evaluations(view) if one[2].get("samples")]
    ks = sample_columns.reported_ks(figures for *_, figures in found)
    rows = [
        [
            iteration,
            title_of(dataset),
            sample_columns.drawn(figures),
            percent(metrics["free"]),
            f"{percent(figures['average'])} ({percent_range(figures['intervals']['average'])})",
            *sample_columns.cells(figures, ks),
        ]
        for iteration, dataset, metrics, figures in found
    ]
    headings = ["iteration", "set", "samples", "greedy", "mean (avg@K)", *sample_columns.headings(ks)]
    return SummaryTable(title="Samples", headings=headings, rows=rows, best=view.best, num_text_columns=3)


def levels(view: View) -> SummaryTable:
    """The best student by the level, grade or type of the problems."""
    rows = [
        [
            title_of(dataset),
            level,
            count(one["num_problems"]),
            percent(one["free"]),
            percent_range(tuple(one["interval"])),
            *(percent(number(one, "forced", name)) for name in view.strategies),
        ]
        for dataset in view.datasets
        for level, one in (lookup(view.entry(view.best), "evaluation", dataset, "levels") or {}).items()
    ]
    headings = ["set", "level", "problems", "free", "95% interval", *(f"{name} forced" for name in view.strategies)]
    return SummaryTable(title="Accuracy of the best student by level", headings=headings, rows=rows, num_text_columns=2)


def comparisons(view: View) -> SummaryTable:
    """Iterations against earlier ones, or other answers, problem by problem."""
    headings = ["iteration", "set", "against", "gained", "lost", "difference", "95% interval", "p (McNemar)"]
    rows = [
        [
            iteration,
            title_of(dataset),
            against,
            count(paired["gained"]),
            count(paired["lost"]),
            points(paired["difference"]),
            " to ".join(f"{bound * 100:+.1f}" for bound in paired["interval"]).replace("-", "−"),
            probability(paired["p_value"]),
        ]
        for iteration, dataset, metrics in _evaluations(view)
        for against, paired in _distinct(metrics).items()
    ]
    return SummaryTable(title="Paired comparisons", headings=headings, rows=rows, best=view.best, num_text_columns=3)


def _distinct(metrics: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """By what they are against: an iteration, else the recipe's name of it. In iteration 1 the iteration before is
    iteration 0: once is enough."""
    return {
        label if paired["iteration"] is None else f"iteration {paired['iteration']}": paired
        for label, paired in (metrics.get("paired") or {}).items()
    }


def choices(view: View) -> SummaryTable:
    """Iteration × data set: how often each strategy was chosen, beside the teacher's rows, and how well."""
    names = [*view.strategies, NO_STRATEGY]
    of_teacher = ["–", "teacher's rows", *(percent(view.teacher_shares.get(name)) for name in names), "–"]
    rows = [of_teacher] if view.has_mixtures else []
    rows += [
        [
            iteration,
            title_of(dataset),
            *(percent(number(metrics, "strategy_histogram", name)) for name in names),
            percent(number(metrics, "choices", "accuracy")),
        ]
        for iteration, dataset, metrics in _evaluations(view)
    ]
    headings = ["iteration", "set", *names, "chose one that solves, where one does"]
    return SummaryTable(title="Chosen strategies", headings=headings, rows=rows, best=view.best, num_text_columns=2)


def confusion(view: View) -> SummaryTable:
    """The best student: chosen against best strategy, in problems of each data set."""
    rows = []
    for dataset, choice in _best_choices(view):
        for chosen, found in choice["confusion"].items():
            rows.append([title_of(dataset), chosen, *(count(number) for number in found.values())])
    headings = ["set", "chosen ↓ best →", *view.strategies, "none solves"]
    return SummaryTable(title="Chosen against best strategy", headings=headings, rows=rows, num_text_columns=2)


def calibration(view: View) -> SummaryTable:
    """The best student: every strategy's accuracy on the problems that each one was chosen for."""
    rows = []
    for dataset, choice in _best_choices(view):
        for chosen, accuracy in choice["by_choice"].items():
            shown = [percent(accuracy["forced"][name]) for name in view.strategies]
            if accuracy["num_problems"]:
                rows.append(
                    [title_of(dataset), chosen, count(accuracy["num_problems"]), percent(accuracy["free"]), *shown]
                )
    headings = ["set", "where it chose", "problems", "free", *(f"{name} forced" for name in view.strategies)]
    return SummaryTable(
        title="Is the chosen strategy the better one there?", headings=headings, rows=rows, num_text_columns=2
    )


def _best_choices(view: View) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for dataset in view.datasets:
        choice = lookup(view.entry(view.best), "evaluation", dataset, "choices")
        if choice:
            yield dataset, choice


def _evaluations(view: View) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for entry in view.evaluated:
        for dataset, metrics in entry["evaluation"].items():
            yield str(entry["iteration"]), dataset, metrics
