"""The table at the end of a run: iteration × (α, rows, accuracy free and forced, histogram)."""

import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def iteration_table(summary: dict[str, Any]) -> Table:
    """One line per iteration and data set."""
    finished = [one for one in summary["iterations"] if "evaluation" in one]
    strategies = _strategies(finished)
    table = Table(title=f"{summary['run']} · {summary['status']}", title_justify="left")
    for heading in ("iteration", "α", "rows", "teacher", "student", "set", "n", "free", "oracle"):
        table.add_column(heading, justify="right" if heading != "set" else "left")
    for name in strategies:
        table.add_column(name, justify="right")
    table.add_column("chooses", justify="left")
    for entry in finished:
        _add_iteration(table, entry, strategies, best=entry["iteration"] == summary["best_iteration"])
    return table


def _add_iteration(table: Table, entry: dict[str, Any], strategies: list[str], *, best: bool) -> None:
    mixture = entry["mixture"]
    head = [
        f"{entry['iteration']}{' *' if best else ''}",
        f"{mixture['alpha']:.2f}",
        f"{mixture['rows']:,}",
        f"{mixture['teacher_rows']:,}",
        f"{mixture['student_rows']:,}",
    ]
    for index, (name, metrics) in enumerate(entry["evaluation"].items()):
        table.add_row(
            *(head if index == 0 else [""] * len(head)),
            name,
            f"{metrics['num_problems']:,}",
            Text(f"{metrics['free']:.1%}", style="bold"),
            f"{metrics['oracle']:.1%}",
            *(f"{metrics['forced'][strategy]:.1%}" for strategy in strategies),
            _histogram(metrics["strategy_histogram"]),
            end_section=index == len(entry["evaluation"]) - 1,
        )


def _histogram(shares: dict[str, float]) -> str:
    return " ".join(f"{name} {share:.0%}" for name, share in shares.items() if share > 0)


def _strategies(entries: list[dict[str, Any]]) -> list[str]:
    return list(entries[0]["mixture"]["by_strategy"]) if entries else []


def print_results(summary: dict[str, Any], *, best_student: Callable[[int], str]) -> None:
    """The table and where the best student lies, on standard output."""
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width)
    console.print(iteration_table(summary))
    best = summary["best_iteration"]
    if best is not None:
        console.print(f"* best by held-out free accuracy: iteration {best}, {best_student(best)}", highlight=False)
