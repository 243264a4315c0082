"""Progress on the screen: a bar per stage on a terminal, a line per stage elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_INTERVAL_S = 30.0


class Stage(Protocol):
    """What is shown of a stage."""

    name: str
    unit: str
    total: int
    done: int
    figures: dict[str, str]
    started_at: float
    finished_at: float | None
    note: str


class ScreenProgress:
    """Context manager; call `show` with all stages so far as often as you like."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._bars = _bars(self._console) if self._console.is_terminal else None
        self._tasks: list[TaskID] = []
        self._printed: dict[int, float] = {}

    def __enter__(self) -> "ScreenProgress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, stages: Sequence[Stage]) -> None:
        """Bring the screen up to date."""
        for index, stage in enumerate(stages):
            if self._bars:
                self._update_bar(self._bars, index, stage)
            else:
                self._print_line(index, stage)

    def _update_bar(self, bars: Progress, index: int, stage: Stage) -> None:
        if index == len(self._tasks):
            self._tasks.append(bars.add_task(stage.name, total=stage.total or None, details=""))
        total = stage.total or (1 if stage.finished_at else None)
        done = stage.done if stage.total else int(stage.finished_at is not None)
        bars.update(self._tasks[index], total=total, completed=done, details=_details(stage))
        if stage.finished_at:
            bars.stop_task(self._tasks[index])

    def _print_line(self, index: int, stage: Stage) -> None:
        last = self._printed.get(index)
        if last == float("inf") or (last and not stage.finished_at and time.time() - last < _LINE_INTERVAL_S):
            return
        self._printed[index] = float("inf") if stage.finished_at else time.time()
        seconds = (stage.finished_at or time.time()) - stage.started_at
        word = "done in" if stage.done >= stage.total else "ended after"
        state = f"{word} {seconds:.0f} s" if stage.finished_at else "running"
        self._console.print(f"{stage.name:<36} {state:<14} {_details(stage)}", highlight=False, soft_wrap=True)


def _details(stage: Stage) -> str:
    counts = f"{stage.done:,}/{stage.total:,} {stage.unit}" if stage.total else ""
    figures = " · ".join(f"{name} {value}" for name, value in stage.figures.items())
    return " · ".join(part for part in (counts, figures, stage.note) if part)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[details]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
    )
