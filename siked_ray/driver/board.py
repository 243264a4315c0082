"""The board on which driver and workers write how far they are, and from which the command line reads.

An actor of its own, so that a busy driver never keeps the screen waiting, and so that what was written outlives a
driver that is lost and started again.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: The unit of training stages.
_STEPS = "steps"


@dataclass(slots=True)
class StageProgress:
    """Progress of one stage: `done` of `total` in `unit`s, and further figures as text.

    `counted_from` is what was done, and when, at the first count: what an earlier process had done is no speed.
    """

    name: str
    unit: str
    total: int
    done: int = 0
    figures: dict[str, str] = field(default_factory=dict)
    started_at: float = field(default_factory=lambda: time.time())
    finished_at: float | None = None
    note: str = ""
    counted_from: tuple[int, float] | None = None
    counted_at: float | None = None


class ProgressBoard:
    """Stages in the order in which they began; each is addressed by its name, the latest of that name counts.

    A name that is not known begins a stage: a board that was lost with its node starts empty.
    """

    def __init__(self) -> None:
        self._stages: list[StageProgress] = []
        self._is_to_stop = False
        self._is_kept = False

    def begin(self, name: str, unit: str, total: int) -> None:
        """A stage starts."""
        self._stages.append(StageProgress(name=name, unit=unit, total=total))

    def advance(self, name: str, done: int, figures: Mapping[str, str]) -> None:
        """A stage has done so much."""
        stage = self._latest(name)
        stage.done, stage.figures = done, dict(figures)
        _count(stage)

    def show(self, name: str, figures: Mapping[str, str]) -> None:
        """What there is to say of a stage before it counts anything."""
        self._latest(name).figures = dict(figures)

    def training(self, name: str, step: int, num_steps: int, loss: float, tokens_per_s: float) -> None:
        """Called from a training worker after optimizer steps."""
        stage = self._latest(name)
        stage.done, stage.total = step, num_steps
        stage.figures = {"loss": f"{loss:.3f}", "tokens/s": f"{tokens_per_s:,.0f}"}
        _count(stage)

    def end(self, name: str, note: str = "") -> None:
        """A stage is finished."""
        stage = self._latest(name)
        stage.done = max(stage.done, stage.total)
        stage.finished_at, stage.note = time.time(), note

    def interrupt(self) -> None:
        """The driver was lost: what it had begun is begun anew, under the same name."""
        for stage in self._stages:
            if stage.finished_at is None:
                stage.finished_at, stage.note = time.time(), "interrupted"

    def stop(self) -> bool:
        """The run is told to stop. True when training steps are being made, whose worker will call `kept`."""
        self._is_to_stop = True
        return any(one.unit == _STEPS and one.finished_at is None and 0 < one.done < one.total for one in self._stages)

    def is_to_stop(self) -> bool:
        """Asked by training workers between steps."""
        return self._is_to_stop

    def kept(self) -> None:
        """What was trained when the run was told to stop is in a checkpoint."""
        self._is_kept = True

    def is_kept(self) -> bool:
        """Whether `kept` was called."""
        return self._is_kept

    def snapshot(self) -> list[StageProgress]:
        """All stages so far."""
        return self._stages

    def _latest(self, name: str) -> StageProgress:
        known = (stage for stage in reversed(self._stages) if stage.name == name)
        stage = next(known, None)
        if stage is None:
            stage = StageProgress(name=name, unit="", total=0)
            self._stages.append(stage)
        return stage


def _count(stage: StageProgress) -> None:
    now = time.time()
    stage.counted_from = stage.counted_from or (stage.done, now)
    stage.counted_at = now


def as_sign_of_life(stages: list[StageProgress], *, state: str, note: str = "") -> dict[str, Any]:
    """What `progress.json` holds: the stages, when it was written, and what the driver is doing.

    `state`: "running", "finished", "failed" or "stopped".
    """
    return {"updated_at": time.time(), "state": state, "note": note, "stages": [asdict(stage) for stage in stages]}
