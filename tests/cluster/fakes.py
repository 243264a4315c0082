"""Stages that take their time on the nodes of a cluster, with a fake engine: what a request is answered is a function
of the request alone. Everything around them is the real thing: driver, ledger, mixture, evaluation, summary."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from siked_ray.capacity.await_capacity import StagePlacement
from siked_ray.core.ids import content_hash, request_id
from siked_ray.core.rollout import FREE, TAG_ALONE, Rollout
from siked_ray.core.stage import StageId
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.actor import Driver
from siked_ray.driver.board_client import Board
from siked_ray.driver.engines import SamplingReport
from siked_ray.driver.lab import RayLab
from siked_ray.driver.titles import title_of
from siked_ray.driver.training import Training
from siked_ray.generation.durable import finished_rows, pending
from siked_ray.generation.requests import lay_out, missing_requests
from siked_ray.generation.task import RowSink
from siked_ray.recipes.verbs import Model, Table
from tests.plain_rollout import PLAIN

_ROWS_PER_PART = 8
#: Parts that a stage makes even while it is held.
_PARTS_OF_A_HELD_STAGE = 4
_SKILL = {"teacher": 0.9, "iteration_00": 0.3, "iteration_01": 0.5, "iteration_02": 0.7}


def make_lab(driver: Driver) -> RayLab:
    generating = SlowGenerating(driver.storage, driver.board)
    placement = StagePlacement(driver.config, driver.board, generating)
    lab = RayLab(
        driver.config,
        driver.storage,
        generating,
        driver.board,
        models={"teacher": "teacher", "student": "base"},
        test_sets=driver.inputs.test_sets,
        log_dir=driver.log_dir,
        placement=placement,
        max_model_len={},
        on_commit=driver.on_commit,
    )
    lab._training = SlowTraining(
        driver.config, driver.storage, driver.board, lab._sampling, placement, log_dir=driver.log_dir
    )
    return lab


class SlowGenerating:
    """Parts of a few rows, each made durable by a task on a node with the resource `worker`."""

    student_is_up = False

    def __init__(self, storage: Storage, board: Board, seconds_per_part: float = 0.4) -> None:
        self._storage = storage
        self._board = board
        self._seconds = seconds_per_part

    def sample(self, key: str, task: Any, asks: Any, sink: RowSink, *, title: str, **_: Any) -> SamplingReport:
        import ray

        blocks, _num_rows = missing_requests(self._storage, asks, finished_rows(sink))
        rows = [row for block in blocks for row in lay_out(self._storage, asks, block).to_pylist()]
        folder = pending(sink.folder)
        parts = [rows[first : first + _ROWS_PER_PART] for first in range(0, len(rows), _ROWS_PER_PART)]
        self._board.begin(title, "requests", len(rows))
        hold = Path(f"{self._storage.root}.hold") / sink.stage
        remote = ray.remote(_make_part).options(num_cpus=0, resources={"worker": 0.5}, max_retries=-1)
        made = [
            remote.remote(
                task,
                part,
                self._storage,
                f"{folder}/part-{content_hash(*(row['problem_id'] + row['ask_id'] for row in part))}.parquet",
                self._seconds,
                hold if index >= _PARTS_OF_A_HELD_STAGE else None,
            )
            for index, part in enumerate(parts)
        ]
        for count, reference in enumerate(made, start=1):
            ray.get(reference)
            self._board.advance(title, count * _ROWS_PER_PART, {})
        self._board.end(title)
        return SamplingReport()

    def make_room_for_training(self) -> None: ...

    def flush(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class SlowTraining(Training):
    """Training is a task of a second or two, too; it waits for its place as the real one does."""

    def stage(self, stage: StageId, start: Model, rows: Table, *_: Any, **__: Any) -> dict[str, Any]:
        import ray

        self._placement.before_training()
        title = title_of(stage)
        self._board.begin(title, "steps", 4)
        remote = ray.remote(_train).options(num_cpus=0, resources={"worker": 0.5}, max_retries=-1)
        num_rows = ray.get(remote.remote(self._storage, rows.file, names.place_of(stage)))
        self._board.end(title)
        figures = {"backend": "none", "zero_stage": 0, "num_workers": 1, "steps": num_rows, "tokens": 0}
        return figures | {"seconds": 1.0, "first_loss": 1.0, "last_loss": 0.5, "losses": [1.0, 0.5], "skipped": 0}


def _make_part(
    task: Any, rows: list[Any], storage: Storage, name: str, seconds: float, hold: Path | None = None
) -> None:
    """Not before the file `hold` is gone."""
    time.sleep(seconds)
    while hold is not None and hold.exists():
        time.sleep(0.1)
    storage.write_parquet(name, table("rollouts", [_rollout(task, row) for row in rows]))


def _train(storage: Storage, mixture: str, output: str) -> int:
    time.sleep(1.0)
    storage.write_text(f"{output}/config.json", "{}")
    return storage.read_parquet(mixture).num_rows


def _rollout(task: Any, row: Any) -> Rollout:
    requested = row["requested"]
    strategy = "pot" if requested in (FREE, TAG_ALONE) else requested
    digest = hashlib.sha256(f"{row['problem_id']}{strategy}".encode()).digest()
    solved = digest[0] / 256 < _SKILL[task.weights.rpartition("/")[2]]
    return replace(
        PLAIN,
        request_id=request_id(row["problem_id"], row["ask_id"], 0, task.label),
        problem_id=row["problem_id"],
        requested=requested,
        ask_id=row["ask_id"],
        strategy=strategy,
        seed=1,
        completion=f"{task.model} says {row['answer']}",
        num_tokens=3,
        verdict=Verdict.CORRECT if solved else Verdict.WRONG,
        model=task.model,
        engine="fake",
    )
