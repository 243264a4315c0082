"""The report's plots: which figures go into which drawing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from siked_ray.report.html.markup import Markup
from siked_ray.report.html.style import MAIN, NEUTRAL, SIDE, STRATEGY_COLOURS
from siked_ray.report.html.svg import Format, Series, figure
from siked_ray.report.html.svg_bars import grouped_bars, stacked_bars
from siked_ray.report.html.svg_lines import line_chart
from siked_ray.report.numbers import decimals, duration, percent, rate, share, short_count
from siked_ray.report.view import NO_STRATEGY, View, interval, lookup, title_of

#: Of the groups of stages, in the order of the verbs.
_STAGE_COLOURS = {
    "sampling": "c0",
    "selecting": "c4",
    "mixing": NEUTRAL,
    "scoring": "c5",
    "training": "c1",
    "merging": "c3",
    "evaluation": "c2",
}


def accuracy(view: View, dataset: str) -> Markup:
    """Free, oracle and forced accuracy of one data set by iteration."""
    title = f"Accuracy · {title_of(dataset)}"
    path = ("evaluation", dataset)
    intervals = [_interval(lookup(entry, *path)) for entry in view.iterations]
    series = [
        Series(name="oracle", css=SIDE, values=view.column(*path, "oracle"), dashed=True),
        *view.by_strategy(*path, "forced", "*"),
        Series(name="free", css=MAIN, values=view.column(*path, "free"), intervals=intervals),
    ]
    note = "free: the student's own choice, with its 95% interval; oracle: any strategy; others: that strategy forced"
    return figure(title, line_chart(title, view.labels, series, _whole_percent), note=note)


def histogram(view: View, dataset: str) -> Markup:
    """Which strategies the student chooses when it is free, below the shares of the teacher's kept rows."""
    chosen = view.by_strategy("evaluation", dataset, "strategy_histogram", "*", with_none=True)
    parts = [part for part in chosen if part.name != NO_STRATEGY or any(part.values)]
    title, rows, note = f"Chosen strategy · {title_of(dataset)}", _rows(view), ""
    if view.has_mixtures:
        parts = [replace(part, values=[view.teacher_shares.get(part.name), *part.values]) for part in parts]
        rows, note = ["teacher", *rows], "teacher: strategies of the rationales that were kept from it"
    drawing = stacked_bars(title, rows, parts, _whole_percent, _no_total)
    return figure(title, drawing, legend=parts, note=note)


def training_rows(view: View) -> Markup:
    """Training rows by strategy."""
    parts = view.by_strategy("mixture", "by_strategy", "*", "rows")
    return _stacked(view, "Training rows by strategy", parts, short_count, short_count)


def alpha(view: View) -> Markup:
    """The teacher's share of the training rows, overall and per strategy."""
    title = "α, the teacher's share of the training rows"
    overall = Series(name="all", css=MAIN, values=view.column("mixture", "alpha"))
    series = [*view.by_strategy("mixture", "by_strategy", "*", "alpha"), overall]
    return figure(title, line_chart(title, view.labels, series, share))


def divergence(view: View) -> Markup:
    """How far the training set's strategies are from the student's own."""
    title = "KL(P_train ‖ P_SM) over strategies, in nats"
    series = [Series(name="KL", css=MAIN, values=view.column("kl_mixture_student"))]
    note = "P_SM: strategies of the student's own kept rationales; iteration 0 has none"
    return figure(title, line_chart(title, view.labels, series, decimals), note=note)


def acceptance(view: View) -> Markup:
    """Share of the (problem, strategy) requests with a correct sample."""
    accepted, requests = view.column("generation", "accepted"), view.column("generation", "requests")
    values = [a / r if a is not None and r else None for a, r in zip(accepted, requests, strict=True)]
    series = [Series(name="accepted", css=STRATEGY_COLOURS[0], values=values)]
    title = "Accepted share of the requests"
    rows = _sampled_rows(view)
    drawing = grouped_bars(title, rows, series, percent, full=1.0)
    return figure(title, drawing, note="a request is one (problem, strategy)")


def cost(view: View) -> Markup:
    """Tokens generated for each accepted rationale."""
    generated, accepted = view.column("generation", "generated_tokens"), view.column("generation", "accepted")
    values = [rate(tokens, number) for tokens, number in zip(generated, accepted, strict=True)]
    rows = _sampled_rows(view)
    title = "Generated tokens per accepted rationale"
    series = [Series(name="tokens", css=STRATEGY_COLOURS[2], values=values)]
    return figure(title, grouped_bars(title, rows, series, decimals))


def loss(view: View) -> Markup:
    """First and last loss of each training stage."""
    series = [
        Series(name="first step", css=NEUTRAL, values=view.column("training", "first_loss")),
        Series(name="last step", css=STRATEGY_COLOURS[0], values=view.column("training", "last_loss")),
    ]
    title = "Training loss, first to last step"
    return figure(title, grouped_bars(title, _rows(view), series, decimals), legend=series)


def tokens(view: View) -> Markup:
    """Tokens of the stages that make or read them."""
    sampled, trained = view.column("generation", "generated_tokens"), view.column("training", "tokens")
    series = [
        Series(name="generated by sampling", css=STRATEGY_COLOURS[0], values=sampled),
        Series(name="trained on", css=STRATEGY_COLOURS[1], values=trained),
    ]
    title = "Tokens by iteration"
    return figure(title, grouped_bars(title, _rows(view), series, short_count), legend=series)


def seconds(view: View) -> Markup:
    """Where the time went."""
    parts = [
        Series(name=kind, css=_STAGE_COLOURS[kind], values=values) for kind, values in view.seconds_by_kind().items()
    ]
    return _stacked(view, "Time by iteration", parts, duration, duration)


def _stacked(view: View, title: str, parts: list[Series], show: Format, total: Format) -> Markup:
    return figure(title, stacked_bars(title, _rows(view), parts, show, total), legend=parts)


def _rows(view: View) -> list[str]:
    return [f"iteration {name}" for name in view.labels]


def _sampled_rows(view: View) -> list[str]:
    """Who was sampled, where that is a word; the names of another recipe's stages are too long."""
    of_siked = [f"{entry['iteration']} {view.sampled(entry)}" for entry in view.iterations]
    return of_siked if view.is_sikeds else _rows(view)


def _interval(metrics: Mapping[str, Any] | None) -> tuple[float, float] | None:
    return interval(metrics) if metrics else None


def _whole_percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _no_total(value: float | None) -> str:
    return ""
