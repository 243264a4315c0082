"""A small training stage on the real Ray Train and DeepSpeed, and a hand that kills its workers."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.core.worker_group import WorkerGroup
from siked_ray.data.storage import Storage
from siked_ray.driver import board_client
from siked_ray.driver.board import ProgressBoard
from siked_ray.training.stage.trainer import fine_tune


class Board(ProgressBoard):
    """Says how far the one stage on it is."""

    def step(self) -> int:
        return max((stage.done for stage in self.snapshot()), default=0)


@contextmanager
def local_ray(num_cpus: int = 6) -> Iterator[None]:
    """A private Ray on this machine."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def sums(num_rows: int) -> list[dict[str, str]]:
    """Rows {prompt, response} of small additions."""
    return [
        {"prompt": f"What is {i % 13} plus {i % 7}?", "response": f"[cot]: {i % 13} plus {i % 7} is {i % 13 + i % 7}."}
        for i in range(num_rows)
    ]


def with_rationales(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows three times, in other words; those of one prompt are far from each other."""
    return [row | {"response": f"{words} {row['response']}"} for words in ("So", "Let me see:", "") for row in rows]


def group(num_workers: int = 2, **changes: Any) -> WorkerGroup:
    values: dict[str, Any] = {
        "num_workers": num_workers,
        "min_workers": num_workers,
        "cpus_per_worker": 1.0,
        "gpus_per_worker": 0.0,
        "max_failures": 3,
        "placement_timeout_s": 600.0,
        "checkpoint_interval_s": 1000.0,
        "num_checkpoints": 2,
        "loggers": ("tensorboard",),
    }
    return WorkerGroup(**(values | changes))


def train_small(
    folder: Path,
    model: str,
    plan: TrainingPlan,
    workers: WorkerGroup,
    board: Any = None,
    num_rows: int = 200,
    run_dir: str | None = None,
) -> dict[str, Any]:
    """Train on sums; the model goes to the folder student in `run_dir`, by default `folder`, which has the logs."""
    import ray

    storage = Storage(run_dir or str(folder))
    if not storage.exists("rows.parquet"):
        storage.write_parquet("rows.parquet", pa.Table.from_pylist(sums(num_rows)))
    board = board or ray.remote(Board).remote()
    return fine_tune(
        ["rows.parquet"],
        model,
        "student",
        plan,
        workers,
        storage,
        board=board_client.Board(board),
        title="training",
        log_prefix=str(folder / "logs" / "training"),
    )


def worker_processes() -> list[psutil.Process]:
    """Training workers of this process's Ray, by age."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=lambda process: process.create_time())


@contextmanager
def killing(board: Any, when: Callable[[int], bool], num_kills: int = 1) -> Iterator[list[int]]:
    """While the body runs, kill one training worker each time that `when(step)` says so; yields the steps."""
    import ray

    killed: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set() and len(killed) < num_kills:
            step = ray.get(board.step.remote())
            workers = worker_processes()
            if workers and when(step):
                os.kill(workers[len(killed) % len(workers)].pid, signal.SIGKILL)
                killed.append(step)
                time.sleep(3)
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()
