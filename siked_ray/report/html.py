"""report.html: one file with everything in it. Its styles and plots are inline, it needs neither network nor script."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from siked_ray.report import html_plots as plots
from siked_ray.report import html_tables as tables
from siked_ray.report.html_markup import Markup, element, joined
from siked_ray.report.html_style import CSS
from siked_ray.report.html_view import View, lookup
from siked_ray.report.html_words import reading


def render(summary: Mapping[str, Any], config_yaml: str) -> str:
    """The page of a run, whatever its state. `config_yaml` are the resolved settings as they were written."""
    view = View(summary)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"SIKeD · {summary.get('run', '')}"),
        element("style", Markup(CSS)),
    )
    main = element("main", *_header(view, config_yaml), *_sections(view), *_settings(view, config_yaml))
    return f"<!DOCTYPE html>\n{element('html', head, element('body', main), lang='en')}\n"


def _header(view: View, config_yaml: str) -> Iterator[Markup]:
    yield element("h1", f"SIKeD · {view.summary.get('run', '')}")
    status = element("span", view.status, class_=f"status {view.status}")
    yield element("p", joined([status, *(f" · {fact}" for fact in _lineage(config_yaml))]), class_="facts")
    yield element("p", " ".join(reading(view)), class_="reading")


def _lineage(config_yaml: str) -> list[str]:
    """Who taught whom on what; nothing where the settings cannot be read."""
    try:
        settings = yaml.safe_load(config_yaml)
    except yaml.YAMLError:
        return []
    teacher = lookup(settings, "teacher", "model") or lookup(settings, "teacher", "path")
    facts = {
        "teacher": teacher or lookup(settings, "teacher", "source"),
        "student": lookup(settings, "student", "model"),
        "problems": lookup(settings, "data", "train"),
    }
    return [f"{name} {value}" for name, value in facts.items() if value]


def _sections(view: View) -> Iterator[Markup]:
    if view.evaluated:
        drawn = [plots.accuracy(view, name) for name in view.datasets]
        yield _section("Accuracy", drawn, tables.accuracies(view))
        drawn = [plots.histogram(view, name) for name in view.datasets]
        yield _section("Choice of strategy", drawn, tables.choices(view))
    if any("mixture" in entry for entry in view.iterations):
        drawn = [plots.alpha(view), plots.divergence(view), plots.training_rows(view)]
        yield _section("Mixtures", drawn, tables.mixtures(view))
    if any("generation" in entry for entry in view.iterations):
        drawn = [plots.acceptance(view), plots.tokens(view)]
        yield _section("Sampling", drawn, tables.sampling(view), tables.verdicts(view))
    if any("training" in entry for entry in view.iterations):
        yield _section("Training", [plots.loss(view)], tables.training(view))
    if view.stages:
        yield _section("Stages", [plots.seconds(view)], tables.stages(view))


def _section(title: str, drawn: list[Markup], *figures: Markup) -> Markup:
    return element("section", element("h2", title), element("div", *drawn, class_="plots"), *figures)


def _settings(view: View, config_yaml: str) -> Iterator[Markup]:
    yield element("h2", "Versions and settings")
    if view.summary.get("versions"):
        yield tables.versions(view)
    sha256 = view.summary.get("config_sha256")
    summary = element("summary", f"Settings{f' (sha256 {sha256[:12]})' if sha256 else ''}")
    yield element("details", summary, element("pre", config_yaml))
