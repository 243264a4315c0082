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
    """Stages in the order in which they began; each is addressed by its name, the latest of that name counts."""

    def __init__(self) -> None:
        self._stages: list[StageProgress] = []

    def begin(self, name: str, unit: str, total: int) -> None:
        """A stage starts."""
        self._stages.append(StageProgress(name=name, unit=unit, total=total))

    def advance(self, name: str, done: int, figures: dict[str, str]) -> None:
        """A stage has done so much."""
        stage = self._latest(name)
        stage.done, stage.figures = done, figures

    def training(self, name: str, step: int, num_steps: int, loss: float, tokens_per_s: float) -> None:
        """Called from a training worker after optimizer steps."""
        stage = self._latest(name)
        stage.done, stage.total = step, num_steps
        stage.figures = {"loss": f"{loss:.3f}", "tokens/s": f"{tokens_per_s:,.0f}"}

    def end(self, name: str, note: str = "") -> None:
        """A stage is finished."""
        stage = self._latest(name)
        stage.done = max(stage.done, stage.total)
        stage.finished_at, stage.note = time.time(), note

    def snapshot(self) -> list[StageProgress]:
        """All stages so far."""
        return self._stages

    def _latest(self, name: str) -> StageProgress:
        return next(stage for stage in reversed(self._stages) if stage.name == name)
