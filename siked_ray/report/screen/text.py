"""The report as text: the reading, then every table."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from siked_ray.report.changes import Changes
from siked_ray.report.sections import sections
from siked_ray.report.summary_tables import SummaryTable, versions
from siked_ray.report.view import View
from siked_ray.report.words import reading

#: Where nothing says how wide the screen is.
_WIDTH = 200


def print_report(summary: Mapping[str, Any], changes: Changes | None) -> None:
    """Print what the page shows, without its plots, whose figures the tables have too."""
    view = View(summary)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    console.print(f"{view.title} · {view.status}", style="bold", markup=False)
    console.print(" ".join(reading(view)), markup=False)
    for section in sections(view, changes):
        for table in section.tables:
            print_table(console, table)
    for example in changes.examples if changes else ():
        _print_example(console, example)
    print_table(console, versions(view))


def print_table(console: Console, table: SummaryTable) -> None:
    """Print a table that has rows."""
    if not table.rows:
        return
    shown = Table(title=table.title, title_justify="left")
    for index, heading in enumerate(table.headings):
        shown.add_column(heading, justify="left" if index < table.num_text_columns else "right")
    for row in table.rows:
        shown.add_row(*(cell.replace("[", "\\[") for cell in row), style="bold" if row[0] == str(table.best) else "")
    console.print()
    console.print(shown)


def _print_example(console: Console, example: Mapping[str, str]) -> None:
    console.print(f"\n{example['question']}\nAnswer: {example['answer']}", markup=False)
    for when in ("before", "after"):
        console.print(f"  {when}, {example[f'strategy_{when}']}, {example[f'verdict_{when}']}:", markup=False)
        console.print("    " + example[f"completion_{when}"].replace("\n", "\n    "), markup=False)
