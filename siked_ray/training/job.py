"""A training stage as its workers get it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_ray.core.ids import content_hash
from siked_ray.data.storage import Storage
from siked_ray.training.loggers import LoggedStage
from siked_ray.training.plan import TrainingPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """`rows`, `output` and `work` (chunks and checkpoints) are relative to the
    storage, `start` is a model directory or Hub name."""

    rows: tuple[str, ...]
    start: str
    output: str
    work: str
    plan: TrainingPlan
    storage: Storage
    board: Any
    title: str
    log_prefix: str
    use_gpu: bool
    checkpoint_interval_s: float
    loggers: tuple[str, ...]

    def as_logged(self) -> LoggedStage:
        """Named after the run's directory, wherever logs are written; `work` differs with what the stage does."""
        prefix, root = Path(self.log_prefix), self.storage.root
        return LoggedStage(
            name=prefix.name,
            run=root.partition("?")[0].rstrip("/").rpartition("/")[2],
            identity=content_hash(root, self.work),
            folder=prefix.parent / "tensorboard",
        )
