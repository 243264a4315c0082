"""The table at the end of a run: iteration × (α, rows, accuracy free and forced, histogram)."""

import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from siked_ray.report.arms import arms
from siked_ray.report.cascade_tables import totals
from siked_ray.report.screen.text import print_table
from siked_ray.report.view import View

_OF_MIXTURES = ("α", "rows", "teacher", "student")


def iteration_table(summary: dict[str, Any]) -> Table:
    """One line per iteration and data set; without the columns of mixtures where the recipe made none."""
    finished = [one for one in summary["iterations"] if "evaluation" in one]
    strategies, mixed = _strategies(finished), any("mixture" in one for one in finished)
    table = Table(title=f"{summary['run']} · {summary['status']}", title_justify="left")
    for heading in ("iteration", *(_OF_MIXTURES if mixed else ()), "set", "n", "free", "oracle"):
        table.add_column(heading, justify="right" if heading != "set" else "left")
    for name in strategies:
        table.add_column(name, justify="right")
    table.add_column("chooses", justify="left")
    for entry in finished:
        head = [f"{entry['iteration']}{' *' if entry['iteration'] == summary['best_iteration'] else ''}"]
        _add_iteration(table, entry, strategies, [*head, *(_mixture(entry.get("mixture")) if mixed else [])])
    return table


def _mixture(mixture: dict[str, Any] | None) -> list[str]:
    if mixture is None:
        return [""] * len(_OF_MIXTURES)
    alpha = "-" if mixture["alpha"] is None else f"{mixture['alpha']:.2f}"
    return [alpha, *(f"{mixture[key]:,}" for key in ("rows", "teacher_rows", "student_rows"))]


def _add_iteration(table: Table, entry: dict[str, Any], strategies: list[str], head: list[str]) -> None:
    for index, (dataset, metrics) in enumerate(entry["evaluation"].items()):
        table.add_row(
            *(head if index == 0 else [""] * len(head)),
            dataset,
            f"{metrics['num_problems']:,}",
            Text(f"{metrics['free']:.1%}", style="bold"),
            f"{metrics['oracle']:.1%}",
            *(f"{metrics['forced'][name]:.1%}" if name in metrics["forced"] else "" for name in strategies),
            _histogram(metrics["strategy_histogram"]),
            end_section=index == len(entry["evaluation"]) - 1,
        )


def _histogram(shares: dict[str, float]) -> str:
    return " ".join(f"{name} {share:.0%}" for name, share in shares.items() if share > 0)


def _strategies(entries: list[dict[str, Any]]) -> list[str]:
    """In the order of the first iteration."""
    if not entries:
        return []
    first = entries[0]
    return list(
        first["mixture"]["by_strategy"] if "mixture" in first else next(iter(first["evaluation"].values()))["forced"]
    )


def print_results(summary: dict[str, Any], *, best_student: Callable[[int], str]) -> None:
    """The table, what the recipe claims, and where the best student lies, on standard output."""
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width)
    view = View(summary)
    if view.evaluated or not (view.arms or view.cascade):
        console.print(iteration_table(summary))
    if view.cascade:
        print_table(console, totals(view))
    if view.arms:
        print_table(console, arms(view))
    for claim in view.claims:
        console.print(claim["sentence"], highlight=False, markup=False)
    best = summary["best_iteration"]
    if best is not None:
        console.print(f"* best by held-out free accuracy: iteration {best}, {best_student(best)}", highlight=False)
