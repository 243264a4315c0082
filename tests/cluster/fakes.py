"""Stages that take their time on the nodes of a cluster, with a fake engine: what a request is answered is a function
of the request alone. Everything around them is the real thing: driver, ledger, mixture, evaluation, summary."""

import hashlib
import time
from typing import Any

from siked_ray.core.ids import request_id
from siked_ray.core.rollout import FREE, Rollout
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.generating import SamplingReport
from siked_ray.driver.run import Driver
from siked_ray.driver.stages import RayStages
from siked_ray.driver.waiting import StagePlacement
from siked_ray.generation.durable import pending
from siked_ray.generation.requests import lay_out, missing_requests
from siked_ray.generation.task import RowSink

_ROWS_PER_PART = 8
_SKILL = {"teacher": 0.9, "iteration_00": 0.3, "iteration_01": 0.5, "iteration_02": 0.7}


def make_stages(driver: Driver) -> RayStages:
    generating = SlowGenerating(driver.storage, driver.board)
    return SlowStages(
        driver.config,
        driver.storage,
        generating,
        driver.board,
        teacher_models={"teacher": "teacher"},
        base_model="base",
        test_sets=list(driver.inputs.test_sets),
        log_dir=driver.log_dir,
        on_begin=StagePlacement(driver.config, driver.board, generating).before,
        on_commit=driver.on_commit,
    )


class SlowGenerating:
    """Parts of a few rows, each made durable by a task on a node with the resource `worker`."""

    student_is_up = False

    def __init__(self, storage: Storage, board: Any, seconds_per_part: float = 0.4) -> None:
        self._storage = storage
        self._board = board
        self._seconds = seconds_per_part

    def sample(
        self, key: str, task: Any, tables: Any, strategies: Any, sink: RowSink, *, title: str, **_: Any
    ) -> SamplingReport:
        import ray

        blocks, _num_rows = missing_requests(self._storage, tables, strategies, set())
        rows = [row for block in blocks for row in lay_out(self._storage, block).to_pylist()]
        folder = pending(sink.folder)
        parts = [rows[first : first + _ROWS_PER_PART] for first in range(0, len(rows), _ROWS_PER_PART)]
        self._board.begin.remote(title, "requests", len(rows))
        remote = ray.remote(_make_part).options(num_cpus=0, resources={"worker": 0.5}, max_retries=-1)
        made = [
            remote.remote(task, part, self._storage, f"{folder}/part-{index:05d}.parquet", self._seconds)
            for index, part in enumerate(parts)
            if not self._storage.exists(f"{folder}/part-{index:05d}.parquet")
        ]
        for count, reference in enumerate(made, start=len(parts) - len(made) + 1):
            ray.get(reference)
            self._board.advance.remote(title, count * _ROWS_PER_PART, {})
        self._board.end.remote(title)
        return SamplingReport()

    def make_room_for_training(self) -> None: ...

    def flush(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class SlowStages(RayStages):
    """Training is a task of a second or two, too."""

    def train(self, iteration: int, start: str, mixture: str) -> str:
        output = names.student(iteration)

        def work() -> dict[str, Any]:
            import ray

            title = f"iteration {iteration} · training"
            self._board.begin.remote(title, "steps", 4)
            remote = ray.remote(_train).options(num_cpus=0, resources={"worker": 0.5}, max_retries=-1)
            num_rows = ray.get(remote.remote(self._storage, mixture, output))
            self._board.end.remote(title)
            figures = {"backend": "none", "zero_stage": 0, "num_workers": 1, "steps": num_rows, "tokens": 0}
            return figures | {"seconds": 1.0, "first_loss": 1.0, "last_loss": 0.5, "losses": [1.0, 0.5], "skipped": 0}

        self._once(f"training_{iteration:02d}", work, lambda: [output])
        return self._storage.path(output)


def _make_part(task: Any, rows: list[Any], storage: Storage, name: str, seconds: float) -> None:
    time.sleep(seconds)
    storage.write_parquet(name, table("rollouts", [_rollout(task, row) for row in rows]))


def _train(storage: Storage, mixture: str, output: str) -> int:
    time.sleep(1.0)
    storage.write_text(f"{output}/config.json", "{}")
    return storage.read_parquet(mixture).num_rows


def _rollout(task: Any, row: Any) -> Rollout:
    requested = row["strategy"]
    strategy = "pot" if requested == FREE else requested
    digest = hashlib.sha256(f"{row['problem_id']}{strategy}".encode()).digest()
    solved = digest[0] / 256 < _SKILL[task.weights.rpartition("/")[2]]
    return Rollout(
        request_id=request_id(row["problem_id"], requested, 0, task.iteration),
        problem_id=row["problem_id"],
        requested=requested,
        strategy=strategy,
        sample_index=0,
        seed=1,
        prompt="",
        completion=f"{task.model} says {row['answer']}",
        num_tokens=3,
        truncated=False,
        verdict=Verdict.CORRECT if solved else Verdict.WRONG,
        predicted=None,
        reason="",
        model=task.model,
        engine="fake",
    )
