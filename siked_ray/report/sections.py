"""What the report shows, in its order: the same tables on the page and on the screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from siked_ray.report import tables, tables_accuracy
from siked_ray.report.changes import Changes
from siked_ray.report.tables import Table
from siked_ray.report.view import View


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading, the tables below it, and the names of the plots that show them."""

    title: str
    plots: Sequence[str]
    tables: Sequence[Table]


def sections(view: View, changes: Changes | None) -> list[Section]:
    """The sections that a run has figures for."""
    found = []
    if view.evaluated:
        found += [
            _section("Accuracy", ["accuracy"], view, tables_accuracy.accuracies, tables_accuracy.comparisons),
            _section("Choice of strategy", ["histogram"], view, *_CHOICES),
        ]
    if changes:
        found.append(Section(title="From wrong to right", plots=[], tables=[changes.table()]))
    if _any(view, "mixture"):
        plots = ["alpha", "divergence", "training_rows"]
        found.append(_section("Mixtures", plots, view, tables.mixtures, tables.decisions))
    if _any(view, "generation"):
        plots = ["acceptance", "cost", "tokens"]
        found.append(_section("Sampling", plots, view, tables.sampling, tables.verdicts))
    if _any(view, "training"):
        found.append(_section("Training", ["loss"], view, tables.training))
    if view.stages:
        found.append(_section("Stages", ["seconds"], view, tables.stages))
    return found


_CHOICES = (tables_accuracy.choices, tables_accuracy.confusion, tables_accuracy.calibration)


def _section(title: str, plots: Sequence[str], view: View, *made: Callable[[View], Table]) -> Section:
    return Section(title=title, plots=plots, tables=[make(view) for make in made])


def _any(view: View, key: str) -> bool:
    return any(key in entry for entry in view.iterations)
