"""The training stages: what is asked of Ray Train, and which of several steps' weights are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from siked_ray.capacity.await_capacity import Placement
from siked_ray.config import Config
from siked_ray.core.ids import content_hash
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.problem import Split
from siked_ray.core.reporting import TrainingReporter
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.training_plan import Length, TrainingPlan
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import StageRecord
from siked_ray.data.storage import Storage
from siked_ray.driver.candidates import choose_by_accuracy
from siked_ray.driver.measuring import free_accuracy
from siked_ray.driver.sampling import Sampling
from siked_ray.driver.titles import title_of
from siked_ray.recipes.verbs import Model, Scores, Table
from siked_ray.training.compute.precision import BFLOAT16, FLOAT32
from siked_ray.training.stage.health import loss_note
from siked_ray.training.stage.selection import candidates_folder
from siked_ray.training.stage.trainer import discard_checkpoints, fine_tune

_HELD_OUT = Split.VALIDATION.value


class Training:
    """Fine-tuning for the lab."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        board: TrainingReporter,
        sampling: Sampling,
        placement: Placement,
        *,
        log_dir: str,
    ) -> None:
        self._config = config
        self._storage = storage
        self._board = board
        self._sampling = sampling
        self._placement = placement
        self._log_dir = log_dir

    def plan(self, stage: StageId, rows: Table, length: Length | None = None) -> TrainingPlan:
        """How the stage trains; its seed is a function of the run's seed and of the iteration, or of the rows: students
        of the same rows see them in the same order."""
        of_stage = rows.file if stage.iteration is None else stage.iteration
        seed = int(content_hash("training", self._config.seed, of_stage, num_chars=8), 16)
        config = self._config
        plan = config.training.plan(seed, trust_remote_code=config.trust_remote_code, chat=config.student.chat())
        return replace(plan, length=length)

    def stage(
        self,
        stage: StageId,
        start: Model,
        rows: Table,
        objective: ObjectiveSpec,
        passed: Sequence[StageRecord],
        beside: Model | None = None,
        scores: Sequence[Scores] = (),
        length: Length | None = None,
    ) -> Mapping[str, Any]:
        """Train; the metrics of the stage. `passed` are the stages before it; the rest as in `Lab.train`."""
        self._placement.before_training()
        output, title = names.place_of(stage), title_of(stage)
        self._board.begin(title, "steps", 1)
        metrics = fine_tune(
            [rows.file],
            start.weights,
            output,
            self.plan(stage, rows, length),
            self._config.training.worker_group(self._config.cluster),
            self._storage,
            board=self._board,
            title=title,
            log_prefix=f"{self._log_dir}/{stage.name}",
            objective=objective,
            teacher=beside.weights if beside else None,
            scores=[file for one in scores for file in self._storage.files(one.folder, ".parquet")],
            precision=precision_so_far(passed, use_gpu=self._config.training.gpus_per_worker > 0),
        )
        self._board.end(title, loss_note(metrics["losses"], metrics["warnings"]))
        if self._config.training.selection.by == "accuracy" and metrics["candidates"]:
            metrics["candidates"] = self._choose(stage, output, metrics["candidates"])
        return {
            "backend": "deepspeed",
            "zero_stage": self._config.training.zero_stage,
            "num_workers": metrics["workers_at_end"],
            **metrics,
        }

    def discard(self, output: str) -> None:
        """Remove what a committed stage needs no longer."""
        discard_checkpoints(self._storage, output)
        self._storage.delete_folder(candidates_folder(output))

    def _choose(self, stage: StageId, output: str, candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """By greedy free accuracy on the held-out problems."""
        ids = self._sampling.problem_ids(_HELD_OUT)

        def accuracy(weights: str, step: int) -> float:
            folder = self._sampling.candidate(stage, weights, step, _HELD_OUT)
            return free_accuracy(self._storage, folder, ids)

        return choose_by_accuracy(self._storage, candidates, output, accuracy)


def precision_so_far(passed: Sequence[StageRecord], *, use_gpu: bool) -> str | None:
    """What the run was trained in so far; stages that do not say so are older than bfloat16 on CPUs."""
    trained = [one for one in passed if one.id.kind is Kind.TRAINING]
    return trained[-1].metrics.get("precision", BFLOAT16 if use_gpu else FLOAT32) if trained else None
