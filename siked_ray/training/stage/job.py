"""A training stage as its workers get it."""

from dataclasses import dataclass
from pathlib import Path

from siked_ray.core.ids import content_hash
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.reporting import TrainingReporter
from siked_ray.core.training_plan import TrainingPlan
from siked_ray.data.storage import Storage
from siked_ray.training.stage.loggers import LoggedStage


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """`rows`, `scores`, `output` and `work` (chunks and checkpoints) are relative to the storage; `start` and `teacher`
    are model directories or Hub names. An objective that is `beside_teacher` has a `teacher`, one that is
    `with_teacher` may have `scores`, files with the TEACHER_COLUMNS of rows by their request_id. `precision` is what
    the run's stages before were trained in, None if there are none.
    """

    rows: tuple[str, ...]
    start: str
    output: str
    work: str
    plan: TrainingPlan
    objective: ObjectiveSpec
    storage: Storage
    board: TrainingReporter
    title: str
    log_prefix: str
    use_gpu: bool
    checkpoint_interval_s: float
    loggers: tuple[str, ...]
    precision: str | None = None
    teacher: str | None = None
    scores: tuple[str, ...] = ()

    def as_logged(self) -> LoggedStage:
        """Named after the run's directory, wherever logs are written; `work` differs with what the stage does."""
        prefix, root = Path(self.log_prefix), self.storage.root
        return LoggedStage(
            name=prefix.name,
            run=root.partition("?")[0].rstrip("/").rpartition("/")[2],
            identity=content_hash(root, self.work),
            folder=prefix.parent / "tensorboard",
        )
