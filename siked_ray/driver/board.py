"""The board on which driver and workers write how far they are, and from which the command line reads.

An actor of its own, so that a busy driver never keeps the screen waiting.
"""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class StageProgress:
    """Progress of one stage: `done` of `total` in `unit`s, and further figures as text."""

    name: str
    unit: str
    total: int
    done: int = 0
    figures: dict[str, str] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    finished_at: float | None = None
    note: str = ""


class ProgressBoard:
    """Stages in the order in which they began, the last one running."""

    def __init__(self) -> None:
        self._stages: list[StageProgress] = []

    def begin(self, name: str, unit: str, total: int) -> None:
        """A stage starts."""
        self._stages.append(StageProgress(name=name, unit=unit, total=total))

    def advance(self, done: int, figures: dict[str, str]) -> None:
        """The running stage has done so much."""
        if self._stages:
            self._stages[-1].done, self._stages[-1].figures = done, figures

    def training(self, step: int, num_steps: int, loss: float, tokens: int) -> None:
        """Called from a training worker after an optimizer step."""
        if not self._stages:
            return
        stage = self._stages[-1]
        if stage.done == 0:
            stage.started_at = time.time()
        seconds = max(time.time() - stage.started_at, 1e-6)
        stage.done, stage.total = step, num_steps
        stage.figures = {"loss": f"{loss:.3f}", "tokens/s": f"{tokens / seconds:,.0f}"}

    def end(self, note: str = "") -> None:
        """The running stage is finished."""
        if self._stages:
            stage = self._stages[-1]
            stage.done = max(stage.done, stage.total)
            stage.finished_at, stage.note = time.time(), note

    def snapshot(self) -> list[StageProgress]:
        """All stages so far."""
        return self._stages
