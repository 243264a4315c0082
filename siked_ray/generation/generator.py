"""The generator actor: one engine and one verifier, living through the run.

Every call carries its task, so that an actor that was restarted after a loss needs nothing but the next call:
it loads the weights that the task names and goes on.
"""

import dataclasses
import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_ray.core.verdict import Verdict
from siked_ray.data.model_folder import local_model
from siked_ray.generation.batch import BatchSampler, Quarantined, SampledRow
from siked_ray.generation.durable import RowWriter
from siked_ray.generation.engine import OpenEngine
from siked_ray.generation.ray_metrics import SamplingMeter
from siked_ray.generation.task import EngineStats, GenerationTask, Row, RowSink
from siked_ray.logs import redirect_output

_NUM_JUDGES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFacts:
    """Name and version of a living engine, the prefix of the parts that it writes, and Ray's id of its node."""

    engine: str
    writer_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class _Session:
    """What is needed for one task and one sink."""

    task: GenerationTask
    sink: RowSink
    sampler: BatchSampler
    writer: RowWriter

    def close(self) -> None:
        self.sampler.close()
        self.writer.close()


class Generator:
    """Made a Ray actor by the pool; its methods run in several threads at once."""

    def __init__(self, open_engine: OpenEngine, model: str, log_path: str) -> None:
        redirect_output(Path(log_path))
        started = time.monotonic()
        self._engine = open_engine(local_model(model))
        self._weights = model
        self._writer_id = uuid.uuid4().hex[:12]
        self._part_names = (f"{self._writer_id}-{index:06d}.parquet" for index in itertools.count())
        self._executor = ThreadPoolExecutor(_NUM_JUDGES, thread_name_prefix="judge")
        self._lock = threading.Lock()
        self._stats = EngineStats()
        self._ready_at = time.monotonic()
        self._meter = SamplingMeter(self._ready_at - started)
        self._session: _Session | None = None
        #: What it verifies (strategies and timeout), and the verifier: its processes outlive a session.
        self._verifier: tuple[Any, Any] | None = None

    def ready(self) -> EngineFacts:
        """Answers once the engine is up."""
        import ray

        node_id = ray.get_runtime_context().get_node_id()
        return EngineFacts(engine=self._engine.name, writer_id=self._writer_id, node_id=node_id)

    def stats(self) -> EngineStats:
        """Counters since the start."""
        return dataclasses.replace(self._stats, busy_s=self._engine.busy_s, up_s=time.monotonic() - self._ready_at)

    def generate(self, task: GenerationTask, sink: RowSink, rows: Sequence[Row]) -> str:
        """Sample, verify and write the rows, all of which are durable on return, in the part of the returned name or
        earlier ones; many calls share the engine."""
        session = self._session_of(task, sink)
        for finished in session.sampler.run(rows):
            session.writer.add(finished)
            self._count(finished)
        session.writer.flush()
        return session.writer.last_part

    def flush(self) -> None:
        """When this returns, all rows that were finished are durable."""
        if self._session is not None:
            self._session.writer.flush()

    def close(self) -> None:
        """End the engine and the verifier's processes."""
        self._engine.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            if self._session is not None:
                self._session.close()
            if self._verifier is not None:
                self._verifier[1].close()

    def _count(self, row: SampledRow | Quarantined) -> None:
        with self._lock:
            self._stats += _stats_of(row)
        if isinstance(row, SampledRow):
            stats = self.stats()
            self._meter.count(row, stats.busy_s / stats.up_s)

    def _session_of(self, task: GenerationTask, sink: RowSink) -> _Session:
        with self._lock:
            current = self._session
            if current is None or current.task != task or current.sink.place != sink.place:
                if current is not None:
                    current.close()
                self._session = current = self._new_session(task, sink)
            return current

    def _new_session(self, task: GenerationTask, sink: RowSink) -> _Session:
        if task.weights != self._weights:
            self._engine.load_weights(local_model(task.weights))
            self._weights = task.weights
        sampler = BatchSampler(task, self._engine, self._verifier_of(task), self._executor)
        return _Session(task, sink, sampler, RowWriter(sink, self._part_names))

    def _verifier_of(self, task: GenerationTask) -> Any:
        from siked_ray.verification import Verifier

        wanted = (task.strategies, task.program_timeout_s)
        if self._verifier is None or self._verifier[0] != wanted:
            if self._verifier is not None:
                self._verifier[1].close()
            self._verifier = (wanted, Verifier(task.strategies, program_timeout_s=task.program_timeout_s))
        return self._verifier[1]


def _stats_of(row: SampledRow | Quarantined) -> EngineStats:
    if isinstance(row, Quarantined):
        return EngineStats(rows=Counter([row.strategy]))
    accepted = sum(one.verdict is Verdict.CORRECT for one in row.rollouts)
    strategy = row.row["strategy"]
    return EngineStats(
        samples=len(row.rollouts),
        accepted=accepted,
        generated_tokens=sum(one.num_tokens for one in row.rollouts),
        rows=Counter([strategy]),
        solved=Counter([strategy] if accepted else []),
    )
