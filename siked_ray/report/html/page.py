"""report.html: one file with everything in it. Its styles and plots are inline, it needs neither network nor script."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from siked_ray.report import summary_tables
from siked_ray.report.changes import Changes
from siked_ray.report.html import plots
from siked_ray.report.html.cascade_plot import cascade
from siked_ray.report.html.examples import examples
from siked_ray.report.html.html_table import rendered
from siked_ray.report.html.markup import Markup, element, joined
from siked_ray.report.html.style import CSS
from siked_ray.report.sections import Section, sections
from siked_ray.report.view import View, lookup
from siked_ray.report.words import reading

#: Plots that are drawn once, and those that are drawn for each data set.
_PLOTS: Mapping[str, Callable[[View], Markup]] = {
    "cascade": cascade,
    "alpha": plots.alpha,
    "divergence": plots.divergence,
    "training_rows": plots.training_rows,
    "acceptance": plots.acceptance,
    "cost": plots.cost,
    "tokens": plots.tokens,
    "loss": plots.loss,
    "seconds": plots.seconds,
}
_DATASET_PLOTS: Mapping[str, Callable[[View, str], Markup]] = {
    "accuracy": plots.accuracy,
    "histogram": plots.histogram,
}


def render(summary: Mapping[str, Any], config_yaml: str, changes: Changes | None = None) -> str:
    """The page of a run, whatever its state. `config_yaml` are the resolved settings as they were written."""
    view = View(summary)
    body = [_section(view, section, changes) for section in sections(view, changes)]
    return whole_page(view.title, *_header(view, config_yaml), *body, *_settings(view, config_yaml))


def whole_page(title: str, *parts: Markup) -> str:
    """A page that needs nothing else."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(CSS)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', *parts)), lang='en')}\n"


def _header(view: View, config_yaml: str) -> Iterator[Markup]:
    yield element("h1", view.title)
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


def _section(view: View, section: Section, changes: Changes | None) -> Markup:
    drawn = [
        drawing
        for name in section.plots
        for drawing in (
            [_PLOTS[name](view)] if name in _PLOTS else [_DATASET_PLOTS[name](view, one) for one in view.datasets]
        )
    ]
    shown = examples(changes) if changes and not section.plots else ""
    return element(
        "section",
        element("h2", section.title),
        element("div", *drawn, class_="plots") if drawn else "",
        *(rendered(table) for table in section.tables),
        shown,
    )


def _settings(view: View, config_yaml: str) -> Iterator[Markup]:
    yield element("h2", "Versions and settings")
    if view.summary.get("versions"):
        yield rendered(summary_tables.versions(view))
    sha256 = view.summary.get("config_sha256")
    summary = element("summary", f"Settings{f' (sha256 {sha256[:12]})' if sha256 else ''}")
    yield element("details", summary, element("pre", config_yaml))
