"""The generator actor: one engine and one verifier, living through the run.

Every call carries its task, so that an actor that was restarted after a loss needs nothing but the next call:
it loads the weights that the task names and goes on.
"""

import dataclasses
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from siked_ray.core.rollout import Rollout
from siked_ray.core.verdict import Verdict
from siked_ray.generation.batch import BatchSampler, Quarantined
from siked_ray.generation.task import EngineStats, GenerationTask, Row
from siked_ray.generation.vllm_engine import EngineOptions, VllmEngine
from siked_ray.logs import redirect_output

_NUM_JUDGES = 4


class Generator:
    """Made a Ray actor by the pool; its methods run in several threads at once."""

    def __init__(self, model: str, options: EngineOptions, log_path: str) -> None:
        redirect_output(Path(log_path))
        self._engine = VllmEngine(model, options)
        self._max_model_len = options.max_model_len
        self._weights = model
        self._executor = ThreadPoolExecutor(_NUM_JUDGES, thread_name_prefix="judge")
        self._lock = threading.Lock()
        self._stats = EngineStats()
        self._rows_in_flight = 0
        self._sampler: tuple[GenerationTask, BatchSampler] | None = None
        self._verifier: Any = None

    def ready(self) -> str:
        """Name and version of the engine, once it is up."""
        from vllm import __version__

        return f"vllm {__version__}"

    def stats(self) -> EngineStats:
        """Counters since the start."""
        return dataclasses.replace(self._stats, busy_s=self._engine.busy_s)

    def rows_in_flight(self) -> int:
        """Rows that were given to `generate` and are not finished."""
        return self._rows_in_flight

    def generate(self, task: GenerationTask, rows: Sequence[Row]) -> tuple[list[Rollout], list[Quarantined]]:
        """Sample and verify the rows; many calls share the running batch of the engine."""
        self._add_in_flight(len(rows))
        try:
            return self._generate(task, rows)
        finally:
            self._add_in_flight(-len(rows))

    def _generate(self, task: GenerationTask, rows: Sequence[Row]) -> tuple[list[Rollout], list[Quarantined]]:
        sampler = self._sampler_of(task)
        rollouts: list[Rollout] = []
        quarantined: list[Quarantined] = []
        for item in sampler.run(rows):
            if isinstance(item, Quarantined):
                quarantined.append(item)
            else:
                rollouts.append(item)
                self._count(samples=1, accepted=item.verdict is Verdict.CORRECT, generated_tokens=item.num_tokens)
        self._count(rows=len(rows))
        return rollouts, quarantined

    def close(self) -> None:
        """End the engine's thread and the verifier's processes."""
        self._engine.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._verifier is not None:
            with suppress(Exception):
                self._verifier.close()

    def _add_in_flight(self, num_rows: int) -> None:
        with self._lock:
            self._rows_in_flight += num_rows

    def _count(self, **increments: int) -> None:
        with self._lock:
            self._stats += EngineStats(**increments)

    def _sampler_of(self, task: GenerationTask) -> BatchSampler:
        with self._lock:
            if self._sampler is None or self._sampler[0] != task:
                self._sampler = (task, self._new_sampler(task))
            return self._sampler[1]

    def _new_sampler(self, task: GenerationTask) -> BatchSampler:
        from siked_ray.verification import Verifier

        if task.weights != self._weights:
            self._engine.load_weights(task.weights)
            self._weights = task.weights
        if self._verifier is not None:
            self._verifier.close()
        self._verifier = Verifier(task.strategies, program_timeout_s=task.program_timeout_s)
        return BatchSampler(
            task,
            self._engine,
            self._verifier.judge,
            self._executor,
            engine_name=self.ready(),
            max_model_len=self._max_model_len,
        )
