"""What the report shows, in its order: the same tables on the page and on the screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from siked_ray.report import accuracy_tables, attempt_tables, cascade_tables, summary_tables, token_tables, view_tables
from siked_ray.report.arms import arms, merged, sampled_arms
from siked_ray.report.changes import Changes
from siked_ray.report.summary_tables import SummaryTable
from siked_ray.report.view import View


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading, the tables below it, and the names of the plots that show them."""

    title: str
    plots: Sequence[str]
    tables: Sequence[SummaryTable]


def sections(view: View, changes: Changes | None) -> list[Section]:
    """The sections that a run has figures for."""
    found = [_section("What came out", [], view, summary_tables.claims)] if view.claims else []
    if view.views:
        found.append(_section("Views", [], view, view_tables.asked_for_views, view_tables.views))
    if view.evaluated:
        found += [
            _section("Accuracy", ["accuracy"], view, *_ACCURACIES),
            _section("Choice of strategy", ["histogram"], view, *_CHOICES),
        ]
    if attempt_tables.has_attempts(view):
        found.append(_section("Attempts", [], view, *_ATTEMPTS))
    if token_tables.has_divergences(view):
        tables = (token_tables.divergences, token_tables.partings)
        found.append(_section("Student and teacher, token by token", [], view, *tables))
    if view.cascade:
        tables = (cascade_tables.totals, cascade_tables.curves)
        found.append(_section("A large model asked where the small one is unsure", ["cascade"], view, *tables))
    if view.arms:
        found.append(_section("Students side by side", [], view, arms, sampled_arms, merged))
    if changes:
        found.append(Section(title="From wrong to right", plots=[], tables=[changes.table()]))
    if view.has_mixtures:
        plots = ["alpha", "divergence", "training_rows"]
        found.append(_section("Mixtures", plots, view, summary_tables.mixtures, summary_tables.decisions))
    elif _any(view, "decision"):
        found.append(_section("Decisions", [], view, summary_tables.decisions))
    if _any(view, "generation"):
        plots = ["acceptance", "cost", "tokens"]
        found.append(_section("Sampling", plots, view, *_SAMPLES))
    if _any(view, "training"):
        found.append(_section("Training", ["loss"], view, summary_tables.training))
    if view.summary.get("contamination"):
        found.append(_section("Problems in test sets", [], view, summary_tables.contamination))
    if view.stages:
        found.append(_section("Stages", ["seconds"], view, summary_tables.stages))
    return found


_ATTEMPTS = (attempt_tables.by_attempt, attempt_tables.before_and_after, attempt_tables.switched)
_ACCURACIES = (
    accuracy_tables.accuracies,
    accuracy_tables.samples,
    accuracy_tables.levels,
    accuracy_tables.comparisons,
)
_SAMPLES = (summary_tables.sampling, summary_tables.verdicts, summary_tables.soundness)
_CHOICES = (accuracy_tables.choices, accuracy_tables.confusion, accuracy_tables.calibration)


def _section(title: str, plots: Sequence[str], view: View, *made: Callable[[View], SummaryTable]) -> Section:
    return Section(title=title, plots=plots, tables=[make(view) for make in made])


def _any(view: View, key: str) -> bool:
    return any(key in entry for entry in view.iterations)
