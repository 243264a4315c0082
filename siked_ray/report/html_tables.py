"""The report's tables: the same figures as the plots, to read and to copy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from siked_ray.report.html_markup import Markup, element
from siked_ray.report.html_numbers import (
    NOTHING,
    count,
    decimals,
    duration,
    percent,
    percent_range,
    rate,
    share,
    wilson_interval,
)
from siked_ray.report.html_view import NO_STRATEGY, View, number, title_of

Cells = Sequence[str]


def table(headings: Cells, rows: Iterable[Cells], *, best: int | None = None, num_text_columns: int = 1) -> Markup:
    """Rows of text; figures to the right. `best` is the first cell of the rows to set apart."""
    body = [
        element("tr", *_cells("td", row, num_text_columns), class_="best" if row[0] == str(best) else None)
        for row in rows
    ]
    head = element("tr", *_cells("th", headings, num_text_columns))
    return element(
        "div", element("table", element("thead", head), element("tbody", *body)), class_="scroll", tabindex="0"
    )


def _cells(tag: str, texts: Cells, num_text_columns: int) -> list[Markup]:
    return [element(tag, text, class_="text" if index < num_text_columns else None) for index, text in enumerate(texts)]


def accuracies(view: View) -> Markup:
    """Iteration × data set: free, oracle and forced."""
    headings = ["iteration", "set", "problems", "free", "95% interval", "oracle"]
    rows = [
        [
            iteration,
            title_of(dataset),
            count(metrics["num_problems"]),
            percent(metrics["free"]),
            percent_range(wilson_interval(metrics["free"], metrics["num_problems"])),
            percent(metrics["oracle"]),
            *(percent(number(metrics, "forced", name)) for name in view.strategies),
        ]
        for iteration, dataset, metrics in _evaluations(view)
    ]
    return table([*headings, *(f"{s} forced" for s in view.strategies)], rows, best=view.best, num_text_columns=2)


def choices(view: View) -> Markup:
    """Iteration × data set: how often each strategy was chosen."""
    names = [*view.strategies, NO_STRATEGY]
    rows = [
        [iteration, title_of(dataset), *(percent(number(metrics, "strategy_histogram", name)) for name in names)]
        for iteration, dataset, metrics in _evaluations(view)
    ]
    return table(["iteration", "set", *names], rows, best=view.best, num_text_columns=2)


def _evaluations(view: View) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for entry in view.evaluated:
        for dataset, metrics in entry["evaluation"].items():
            yield str(entry["iteration"]), dataset, metrics


def mixtures(view: View) -> Markup:
    """What each iteration trained on."""
    headings = ["iteration", "policy", "rows", "teacher", "student", "α", "KL"]
    headings += [f"{name} (α)" for name in view.strategies]
    rows = []
    for entry in view.iterations:
        mixture = entry.get("mixture")
        if not mixture:
            continue
        by_strategy = mixture.get("by_strategy") or {}
        rows.append(
            [
                str(entry["iteration"]),
                mixture["policy"],
                *(count(mixture[key]) for key in ("rows", "teacher_rows", "student_rows")),
                share(mixture["alpha"]),
                decimals(number(entry, "kl_mixture_student")),
                *(_rows_and_alpha(by_strategy.get(name)) for name in view.strategies),
                str(mixture.get("sha256", NOTHING))[:12],
            ]
        )
    return table([*headings, "sha256"], rows, num_text_columns=2)


def _rows_and_alpha(counts: Mapping[str, Any] | None) -> str:
    return f"{count(number(counts, 'rows'))} ({share(number(counts, 'alpha'))})"


def sampling(view: View) -> Markup:
    """Samples, what was accepted, and what it cost."""
    headings = ["iteration", "sampled", "engine", "requests", "samples", "accepted", "share"]
    rows = []
    for entry in view.iterations:
        generation = entry.get("generation")
        if not generation:
            continue
        rows.append(
            [
                str(entry["iteration"]),
                "teacher" if entry["iteration"] == 0 else "student",
                generation["engine"] or NOTHING,
                *(count(generation[key]) for key in ("requests", "samples", "accepted")),
                percent(rate(generation["accepted"], generation["requests"])),
                *_cost(generation["generated_tokens"], generation["seconds"]),
            ]
        )
    return table([*headings, "tokens", "time", "tokens/s"], rows, num_text_columns=3)


def verdicts(view: View) -> Markup:
    """Accepted requests by strategy and samples by verdict."""
    sampled = [entry for entry in view.iterations if entry.get("generation")]
    names = list(dict.fromkeys(name for entry in sampled for name in entry["generation"].get("verdicts") or {}))
    headings = [f"{name} accepted" for name in view.strategies]
    headings += [f"samples: {name}" if index == 0 else name for index, name in enumerate(names)]
    rows = [
        [
            str(entry["iteration"]),
            *(count(number(entry, "generation", "accepted_by_strategy", name)) for name in view.strategies),
            *(count(number(entry, "generation", "verdicts", name)) for name in names),
        ]
        for entry in sampled
    ]
    return table(["iteration", *headings], rows)


def training(view: View) -> Markup:
    """Steps, loss and cost of each training stage."""
    headings = ["iteration", "backend", "ZeRO", "workers", "steps", "first loss", "last loss", "rows left out"]
    rows = []
    for entry in view.iterations:
        stage = entry.get("training")
        if not stage:
            continue
        rows.append(
            [
                str(entry["iteration"]),
                stage["backend"],
                str(stage["zero_stage"]),
                *(count(stage[key]) for key in ("num_workers", "steps")),
                *(decimals(stage[key]) for key in ("first_loss", "last_loss")),
                count(number(stage, "skipped")),
                *_cost(stage["tokens"], stage["seconds"]),
            ]
        )
    return table([*headings, "tokens", "time", "tokens/s"], rows, num_text_columns=2)


def _cost(tokens: float, seconds: float) -> Cells:
    return [count(tokens), duration(seconds), count(rate(tokens, seconds))]


def stages(view: View) -> Markup:
    """Committed stages in their order."""
    rows = [[s["name"], duration(s["seconds"]), "resumed" if s["resumed"] else "run"] for s in view.stages]
    total = sum(stage["seconds"] for stage in view.stages)
    return table(["stage", "time", "by the last process"], [*rows, ["total", duration(total), ""]])


def versions(view: View) -> Markup:
    """Packages that made the run."""
    return table(["package", "version"], [[*pair] for pair in (view.summary.get("versions") or {}).items()])
