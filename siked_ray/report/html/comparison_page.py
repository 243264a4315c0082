"""The page of compared students: one file with its styles and pictures in it."""

from collections.abc import Iterator

from siked_ray.report.comparison import ComparedSet, Discordant, StudentsCompared
from siked_ray.report.comparison_tables import accuracies, differences, way_of_asking
from siked_ray.report.html.examples import shortened_completion
from siked_ray.report.html.html_table import rendered
from siked_ray.report.html.markup import Markup, element
from siked_ray.report.html.page import whole_page
from siked_ray.report.html.style import MAIN, STRATEGY_COLOURS
from siked_ray.report.html.svg import Series, figure
from siked_ray.report.html.svg_bars import grouped_bars
from siked_ray.report.html.svg_intervals import Difference, interval_chart
from siked_ray.report.numbers import percent
from siked_ray.report.view import title_of

_ABOUT = (
    "Greedy completions, compared problem by problem. Intervals are 95 % by bootstrap over problems; p is of McNemar's "
    "exact test, and corrected by Holm's method for all pairs that are asked in the same way on the same problems. "
    "Gained: solved by the first student of a row alone; lost: by the second alone."
)


def comparison_page(found: StudentsCompared) -> str:
    """HTML of the comparison."""
    title = f"{' · '.join(one.name for one in found.students)}"
    notes = [element("p", note, class_="note") for note in found.notes]
    body = [part for one in found.sets for part in _section(one)]
    return whole_page(title, element("h1", title), element("p", _ABOUT, class_="facts"), *body, *notes)


def _section(one: ComparedSet) -> Iterator[Markup]:
    yield element(
        "section",
        element("h2", f"{title_of(one.problem_set)} · {one.num_problems:,} problems"),
        *(element("p", note, class_="note") for note in one.notes),
        element("div", _bars(one), _differences(one), class_="plots"),
        rendered(accuracies(one)),
        rendered(differences(one)),
    )
    if one.examples:
        articles = [_example(example) for example in one.examples]
        yield element("section", element("h2", f"Where they differ · {title_of(one.problem_set)}"), *articles)


def _bars(one: ComparedSet) -> Markup:
    title = f"Accuracy · {title_of(one.problem_set)}"
    series = [
        Series(
            name=name,
            css=STRATEGY_COLOURS[index % len(STRATEGY_COLOURS)],
            values=[measure.accuracies[name][0] for measure in one.measures],
        )
        for index, name in enumerate(one.students)
    ]
    rows = [measure.requested for measure in one.measures]
    return figure(title, grouped_bars(title, rows, series, percent, full=1.0), legend=series)


def _differences(one: ComparedSet) -> Markup:
    title = f"Paired differences in points · {title_of(one.problem_set)}"
    rows = [
        Difference(
            name=f"{way_of_asking(measure)}: {pair.other} − {pair.one}"
            if len(one.students) > 2
            else way_of_asking(measure),
            value=pair.paired.difference,
            interval=pair.paired.interval,
            css=STRATEGY_COLOURS[0] if measure.requested == "free" else MAIN,
        )
        for measure in one.measures
        for pair in measure.pairs
    ]
    note = f"{one.students[1]} − {one.students[0]}; right of 0 the former is better" if len(one.students) == 2 else ""
    return figure(title, interval_chart(title, rows, _points), note=note or "right of 0 the first one named is better")


def _example(example: Discordant) -> Markup:
    said = [
        shortened_completion(f"{name} · chose {one['strategy']} · ", one["verdict"], one["completion"])
        for name, one in example.said.items()
    ]
    return element(
        "article",
        element("p", example.question, class_="question"),
        element("p", f"Answer: {example.answer}. {example.right} is right.", class_="note"),
        element("div", *said, class_="pair"),
    )


def _points(value: float | None) -> str:
    return f"{100 * (value or 0):+.1f}".replace("-", "−") if value else "0"
