"""Compared students on the screen."""

import sys

from rich.console import Console

from siked_ray.report.comparison import Discordant, StudentsCompared
from siked_ray.report.comparison_tables import accuracies, differences
from siked_ray.report.screen.text import print_table

#: Where nothing says how wide the screen is.
_WIDTH = 160
_EXAMPLES, _CHARACTERS = 4, 400


def print_comparison(found: StudentsCompared) -> None:
    """Tables of every set, and examples of the last one, which is a test set where there is one."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    for one in found.sets:
        print_table(console, accuracies(one))
        print_table(console, differences(one))
        for note in one.notes:
            console.print(note, markup=False)
    for note in found.notes:
        console.print(note, markup=False)
    for example in found.sets[-1].examples[:_EXAMPLES]:
        _print_example(console, example)


def _print_example(console: Console, example: Discordant) -> None:
    console.print(f"\n{example.question}\nAnswer: {example.answer}. {example.right} is right.", markup=False)
    for name, said in example.said.items():
        text = said["completion"]
        cut = text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} …"
        console.print(f"  {name}, {said['strategy']}, {said['verdict']}:", markup=False)
        console.print("    " + cut.replace("\n", "\n    "), markup=False)
