"""The generator actor: one engine and one verifier, living through the run.

Every call carries its order, so that an actor that was restarted after a loss needs nothing but the next call:
it loads the weights that the task in it names and goes on.
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_ray.core.reasoning import Accept
from siked_ray.core.rollout import TAG_ALONE
from siked_ray.data.model_folder import local_model
from siked_ray.generation.batch_sampler import BatchSampler
from siked_ray.generation.durable import RowWriter
from siked_ray.generation.engine import OpenEngine
from siked_ray.generation.finished import Quarantined, SampledRow
from siked_ray.generation.order_session import EngineProgress, OrderSession
from siked_ray.generation.ray_metrics import SamplingMeter
from siked_ray.generation.task import EngineStats, GenerationTask, Order
from siked_ray.logs import redirect_output

if TYPE_CHECKING:
    import pyarrow as pa

_NUM_JUDGES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFacts:
    """Name and version of a living engine, the prefix of the parts that it writes, and Ray's id of its node."""

    engine: str
    writer_id: str
    node_id: str


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
        self._order = b""
        self._session: OrderSession | None = None
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

    def generate(
        self, order: bytes, number: int, block: "pa.Table", rows: Sequence[int], num_left: int
    ) -> EngineProgress:
        """Begin to sample, verify and write rows of a block, by their indices; returns when no more than `num_left`
        rows, of this call and earlier ones, are unfinished, and with 0 when all of them are durable.

        `order` is packed; with another one than before nothing may be under way.
        """
        self._session_of(order).begin(number, block.take(list(rows)).to_pylist())
        return self.finish(num_left)

    def finish(self, num_left: int = 0) -> EngineProgress:
        """Return when no more than so many rows are unfinished, with 0 when all are durable."""
        if self._session is None:
            return EngineProgress((), "", self._writer_id)
        return self._session.wait_for(num_left)

    def flush(self) -> None:
        """When this returns, all rows that were finished are durable."""
        if self._session is not None:
            self._session.flush()

    def close(self) -> None:
        """End the engine and the verifier's processes."""
        self._engine.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            if self._session is not None:
                self._session.close()
            if self._verifier is not None:
                self._verifier[1].close()

    def _count(self, row: SampledRow | Quarantined, accept: Accept) -> None:
        with self._lock:
            self._stats += _stats_of(row, accept)
        if isinstance(row, SampledRow):
            stats = self.stats()
            self._meter.count(row, accept, stats.busy_s / stats.up_s)

    def _session_of(self, packed: bytes) -> OrderSession:
        with self._lock:
            if self._session is None or self._order != packed:
                if self._session is not None:
                    self._session.close()
                self._session, self._order = self._new_session(Order.unpack(packed)), packed
            return self._session

    def _new_session(self, order: Order) -> OrderSession:
        task = order.task
        if task.weights != self._weights:
            self._engine.load_weights(local_model(task.weights))
            self._weights = task.weights
        sampler = BatchSampler(task, self._engine, self._verifier_of(task), self._executor)
        writer = RowWriter(order.sink, self._part_names)
        return OrderSession(sampler, writer, partial(self._count, accept=task.plan.accept), self._writer_id)

    def _verifier_of(self, task: GenerationTask) -> Any:
        from siked_ray.verification import Verifier

        wanted = (task.strategies, task.program_timeout_s)
        if self._verifier is None or self._verifier[0] != wanted:
            if self._verifier is not None:
                self._verifier[1].close()
            self._verifier = (wanted, Verifier(task.strategies, program_timeout_s=task.program_timeout_s))
        return self._verifier[1]


def _stats_of(row: SampledRow | Quarantined, accept: Accept) -> EngineStats:
    if isinstance(row, Quarantined):
        return EngineStats(rows=Counter([row.requested]))
    requested = row.row["requested"]
    if requested == TAG_ALONE:
        return EngineStats(rows=Counter([requested]), generated_tokens=sum(one.num_tokens for one in row.rollouts))
    accepted = sum(one.is_accepted(accept) for one in row.rollouts)
    return EngineStats(
        samples=len(row.rollouts),
        accepted=accepted,
        generated_tokens=sum(one.num_tokens for one in row.rollouts),
        rows=Counter([requested]),
        solved=Counter([requested] if accepted else []),
    )
