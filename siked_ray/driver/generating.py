"""Sampling for the stages: opens, reuses and closes the pools of engines, and watches them for the board."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from siked_ray.config import Config
from siked_ray.core.problem import Problem
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.existing import read_rationales, verified_rollouts
from siked_ray.errors import StageError
from siked_ray.generation.pipeline import finished_rows, generate, quarantine_parts
from siked_ray.generation.pool import EnginePool, PoolSize
from siked_ray.generation.task import EngineStats, GenerationTask, Row
from siked_ray.generation.vllm_engine import EngineOptions

_ENGINE_START_TIMEOUT_S = 1800.0
_WATCH_INTERVAL_S = 1.0
_PROBLEM_FIELDS = ("problem_id", "dataset", "question", "answer")


class Generating:
    """At most one pool at a time. `options` gives the engine's options for a role's model."""

    def __init__(
        self,
        storage: Storage,
        board: Any,
        *,
        options: dict[str, EngineOptions],
        size: PoolSize,
        log_dir: str,
        keep_engines_while_training: bool,
    ) -> None:
        self._storage = storage
        self._board = board
        self._options = options
        self._size = size
        self._log_dir = log_dir
        self._keep_engines = keep_engines_while_training
        self._pool: tuple[str, EnginePool] | None = None

    def sample(
        self,
        task: GenerationTask,
        rows: Sequence[Row],
        *,
        folder: str,
        stage: str,
        title: str,
        batch_size: int,
        max_quarantined_fraction: float,
    ) -> None:
        """Sample the rows that are not durable yet. Raises StageError when too many had to be quarantined."""
        finished = finished_rows(self._storage, folder, stage)
        missing = [row for row in rows if (row["problem_id"], row["strategy"]) not in finished]
        if missing:
            pool = self._open(task)
            self._board.begin.remote(title, "requests", len(rows))
            with self._watched(pool, title, len(rows) - len(missing)):
                generate(missing, task, pool, self._storage, folder=folder, stage=stage, batch_size=batch_size)
            self._board.end.remote(title)
        self._check_quarantine(stage, len(rows), max_quarantined_fraction)

    def verify_existing(self, problems: Sequence[Row], config: Config, folder: str) -> None:
        """Verify rationales that exist already and store them as the teacher's rollouts."""
        records = [Problem(**{field: row[field] for field in _PROBLEM_FIELDS}) for row in problems]
        rationales = read_rationales(config, records)
        self._board.begin.remote("teacher rationales", "rationales", len(rationales))
        rollouts = verified_rollouts(rationales, records, config)
        self._storage.write_parquet(f"{folder}/part-00000.parquet", table("rollouts", rollouts))
        self._board.end.remote("teacher rationales")

    def num_quarantined(self, stage: str) -> int:
        """Rows that a stage could not sample."""
        return sum(self._storage.read_parquet(name).num_rows for name in quarantine_parts(self._storage, stage))

    def make_room_for_training(self) -> None:
        """Close the engines when they and the training workers do not fit side by side."""
        if not self._keep_engines:
            self.close()

    def close(self) -> None:
        """End the engines, if any are up; their resources are free when this returns."""
        if self._pool is not None:
            _, pool = self._pool
            self._pool = None
            pool.close()

    def _open(self, task: GenerationTask) -> EnginePool:
        role = task.role.value
        if self._pool is not None and self._pool[0] != role:
            self.close()
        if self._pool is None:
            title = f"starting {self._size.num_engines} engine(s) for the {role}"
            self._board.begin.remote(title, "", 0)
            pool = EnginePool(task.weights, self._options[role], self._size, name=role, log_dir=self._log_dir)
            self._pool = (role, pool)
            self._board.end.remote(title, pool.wait_ready(_ENGINE_START_TIMEOUT_S))
        return self._pool[1]

    @contextmanager
    def _watched(self, pool: EnginePool, title: str, num_done_before: int) -> Iterator[None]:
        """Write the pool's counters to the board while the body runs."""
        stopped = threading.Event()
        before, started = pool.stats(), time.monotonic()

        def watch() -> None:
            while not stopped.wait(_WATCH_INTERVAL_S):
                since = pool.stats() - before
                seconds = time.monotonic() - started
                self._board.advance.remote(title, num_done_before + since.rows, _figures(since, seconds))

        thread = threading.Thread(target=watch, name="watch-engines", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()
            since = pool.stats() - before
            self._board.advance.remote(title, num_done_before + since.rows, _figures(since, time.monotonic() - started))

    def _check_quarantine(self, stage: str, num_rows: int, max_fraction: float) -> None:
        quarantined = self.num_quarantined(stage)
        if quarantined > max_fraction * num_rows:
            name = quarantine_parts(self._storage, stage)[0]
            first = self._storage.read_parquet(name).to_pylist()[0]
            raise StageError(
                f"{quarantined} of {num_rows} rows of {stage} are in quarantine, more than "
                f"max_quarantined_fraction = {max_fraction}; the first one because: {first['reason']}."
            )


def _figures(stats: EngineStats, seconds: float) -> dict[str, str]:
    return {
        "correct": f"{stats.accepted:,} of {stats.samples:,} samples",
        "tokens/s": f"{stats.generated_tokens / max(seconds, 1e-6):,.0f}",
    }
