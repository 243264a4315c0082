"""Sampling for the stages: opens, reuses and closes the pools of engines, and watches them for the board."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from siked_ray.core.asks import Asks
from siked_ray.core.reporting import Reporter
from siked_ray.core.rollout import TAG_ALONE
from siked_ray.errors import StageError
from siked_ray.generation.calls import RowsToDo
from siked_ray.generation.dispatch import Dispatch
from siked_ray.generation.durable import finished_rows, quarantined_rows
from siked_ray.generation.pool import EnginePool, EngineSpec, PoolSize
from siked_ray.generation.rendering import Tokenising, request_blocks
from siked_ray.generation.requests import RequestBlock, missing_requests
from siked_ray.generation.task import EngineStats, GenerationTask, RowSink
from siked_ray.settings import STUDENT, TEACHER

_WATCH_INTERVAL_S = 1.0
#: Asking an engine for its counters costs the driver as much as sending it rows.
_ENGINES_ASKED_PER_S = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingReport:
    """What a sampling stage cost beside its samples; of this session only, when the stage was continued."""

    engine_start_s: float = 0.0
    engine_busy_share: float | None = None
    engines_lost: int = 0

    def __add__(self, other: "SamplingReport") -> "SamplingReport":
        """Of two samplings one after the other; the busy share is that of the later one that has any."""
        return SamplingReport(
            engine_start_s=self.engine_start_s + other.engine_start_s,
            engine_busy_share=self.engine_busy_share if other.engine_busy_share is None else other.engine_busy_share,
            engines_lost=self.engines_lost + other.engines_lost,
        )


class EnginePools:
    """At most one pool at a time. `specs` and `sizes` have an entry for the student and each part of the teacher."""

    def __init__(
        self,
        board: Reporter,
        *,
        specs: Mapping[str, EngineSpec],
        sizes: Mapping[str, PoolSize],
        log_dir: str,
        keep_engines_while_training: bool,
    ) -> None:
        self._board = board
        self._specs = specs
        self._sizes = sizes
        self._log_dir = log_dir
        self._keep_engines = keep_engines_while_training
        self._pool: tuple[str, EnginePool] | None = None
        self._start_s = 0.0

    def sample(
        self,
        key: str,
        task: GenerationTask,
        asks: Asks,
        sink: RowSink,
        *,
        title: str,
        max_quarantined_fraction: float,
    ) -> SamplingReport:
        """Sample the asks that are not durable yet, on the engines of `key`.

        Raises StageError when too many rows had to be quarantined.
        """
        report = SamplingReport()
        blocks, num_rows = missing_requests(sink.storage, asks, finished_rows(sink))
        num_unread = 1
        while blocks and num_unread:
            more, num_unread = self._pass(key, task, asks, blocks, sink, title, num_rows)
            report += more
            if num_unread:
                blocks = _laid_out_anew(asks, blocks, sink)
        _check_quarantine(sink, asks, num_rows, max_quarantined_fraction)
        return report

    def _pass(
        self,
        key: str,
        task: GenerationTask,
        asks: Asks,
        blocks: Sequence[RequestBlock],
        sink: RowSink,
        title: str,
        num_rows: int,
    ) -> tuple[SamplingReport, int]:
        """Sample what blocks of requests hold; also how many rows of them were lost on the way to the engines."""
        pool, num_missing = self._open(key, task), sum(map(len, blocks))
        requests = request_blocks(sink.storage, asks, blocks, self._tokenising(key, task))
        dispatch = Dispatch(pool, task, sink, RowsToDo(requests, num_missing))
        self._board.begin(title, "requests", num_rows)
        with self._watched(pool, title, num_rows - num_missing) as stats:
            dispatch.run()
        self._board.end(title)
        return self._report(stats(), dispatch.num_losses), dispatch.num_unread

    def _tokenising(self, key: str, task: GenerationTask) -> Tokenising | None:
        spec = self._specs[key]
        if not spec.tokenises:
            return None
        log_path = f"{self._log_dir}/{key}_prompts.log"
        return Tokenising(
            model=task.weights, trust_remote_code=spec.trust_remote_code, log_path=log_path, chat=spec.chat
        )

    @property
    def student_is_up(self) -> bool:
        """True while the student's engines have their places."""
        return self._pool is not None and self._pool[0] == STUDENT

    def make_room_for_training(self) -> None:
        """Close the engines, or those beyond the least number where that many fit beside the training workers."""
        if not self._keep_engines:
            self.close()
        elif self._pool is not None:
            self._pool[1].shrink()

    def flush(self, timeout_s: float) -> None:
        """Have engines write what they have finished; may be called by another thread."""
        if (opened := self._pool) is not None:
            opened[1].flush(timeout_s)

    def close(self) -> None:
        """End the engines, if any are up; their resources are free when this returns."""
        if self._pool is not None:
            _, pool = self._pool
            self._pool = None
            pool.close()

    def _open(self, key: str, task: GenerationTask) -> EnginePool:
        label = key if key == STUDENT else f"{key} {task.weights}"
        if self._pool is not None and self._pool[0] != label:
            self.close()
        if self._pool is None:
            started, size = time.monotonic(), self._sizes[key]
            whom = f"the {TEACHER}" if key.startswith(TEACHER) else f"the {key}"
            title = f"starting {size.min_engines} engine(s) for {whom}"
            self._board.begin(title, "", 0)
            pool = EnginePool(task.weights, self._specs[key], size, name=key, log_dir=self._log_dir)
            self._pool = (label, pool)
            self._board.end(title, pool.wait_ready())
            self._start_s = time.monotonic() - started
        return self._pool[1]

    def _report(self, stats: EngineStats, num_losses: int) -> SamplingReport:
        start_s, self._start_s = self._start_s, 0.0
        busy_share = stats.busy_s / stats.up_s if stats.up_s > 0 else None
        return SamplingReport(engine_start_s=start_s, engine_busy_share=busy_share, engines_lost=num_losses)

    @contextmanager
    def _watched(self, pool: EnginePool, title: str, num_done_before: int) -> Iterator[Callable[[], EngineStats]]:
        """Write the pool's counters to the board while the body runs; gives a function that reads them."""
        stopped = threading.Event()
        before, started = pool.stats(), time.monotonic()

        def since() -> EngineStats:
            return pool.stats() - before

        def show() -> None:
            stats = since()
            done = num_done_before + sum(stats.rows.values())
            self._board.advance(title, done, _figures(stats, time.monotonic() - started))

        def watch() -> None:
            while not stopped.wait(max(_WATCH_INTERVAL_S, len(pool) / _ENGINES_ASKED_PER_S)):
                show()

        thread = threading.Thread(target=watch, name="watch-engines", daemon=True)
        thread.start()
        try:
            yield since
        finally:
            stopped.set()
            thread.join()
            show()


def _laid_out_anew(asks: Asks, before: Sequence[RequestBlock], sink: RowSink) -> list[RequestBlock]:
    """What is missing after blocks were lost. Raises StageError when it is as much as before."""
    blocks, _ = missing_requests(sink.storage, asks, finished_rows(sink))
    if sum(map(len, blocks)) >= sum(map(len, before)):
        raise StageError(
            f"The requests of {sink.stage} are lost on their way to the engines before a row is finished: nodes go "
            "down, or Ray's object store is full. The same command continues from there."
        )
    return blocks


def _check_quarantine(sink: RowSink, asks: Asks, num_rows: int, max_fraction: float) -> None:
    """Of the rows that were asked for; a stage can have others, of another part of the teacher."""
    quarantined = quarantined_rows(sink.storage, sink.stage)
    if asks.table is None:
        quarantined = [row for row in quarantined if row["strategy"] in asks.requested]
    if len(quarantined) > max_fraction * num_rows:
        files = f"{sink.storage.path('quarantine')}/{sink.stage}-*"
        raise StageError(
            f"{len(quarantined)} of {num_rows} rows of {sink.stage} are in quarantine, more than "
            f"max_quarantined_fraction = {max_fraction}; the first one because: {quarantined[0]['reason']}. To have "
            f"them sampled again by the same command, delete {files}; to go on without them, raise "
            "max_quarantined_fraction."
        )


def _figures(stats: EngineStats, seconds: float) -> dict[str, str]:
    shown = sorted((name, n) for name, n in stats.rows.items() if n and name != TAG_ALONE)
    solved = " · ".join(f"{name} {stats.solved[name] / n:.0%}" for name, n in shown)
    return {
        "solved": solved or "-",
        "correct": f"{stats.accepted:,} of {stats.samples:,} samples",
        "tokens/s": f"{stats.generated_tokens / max(seconds, 1e-6):,.0f}",
    }
