"""Rows out to the engines, and what happens when one of them is lost.

The loop runs in the driver and moves references and counts only: engines read the blocks of requests themselves, and
what they sample they write themselves. Ids are read here after a loss, to see what is missing.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from siked_ray.core.ids import content_hash
from siked_ray.errors import StageError
from siked_ray.generation.calls import Call, RowsToDo, after_a_loss, rows_per_call
from siked_ray.generation.durable import finished_rows, write_quarantine
from siked_ray.generation.engine import EngineFailure
from siked_ray.generation.finished import Quarantined
from siked_ray.generation.generator import EngineFacts
from siked_ray.generation.order_session import EngineProgress
from siked_ray.generation.pool import EnginePool
from siked_ray.generation.pooled_engine import PooledEngine
from siked_ray.generation.task import GenerationTask, Order, RowKey, RowSink
from siked_ray.generation.written import WrittenParts
from siked_ray.ray_internals import raised_by_task

#: Losses, per engine and without a finished row between them, after which a stage gives up.
_LOSSES_PER_ENGINE = 5
_WAIT_S = 1.0
#: Asking Ray who has answered costs as much as there are engines: with many, answers are taken in together.
_PAUSE_PER_ENGINE_S = 1e-4
_MAX_PAUSE_S = 0.2
#: Seconds that Ray may take to bring a block here, or to make it once more.
_READ_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """An engine that will say when it is ready for more, what it was when it was asked, and the call that went with
    it."""

    engine: PooledEngine
    facts: EngineFacts
    number: int | None


class Dispatch:
    """Gives rows to a pool until all are durable or in quarantine, but for `num_unread` whose block was lost.

    An engine gets a call, is ready for the next one while it still has rows, and then says too which calls are durable.
    """

    def __init__(self, pool: EnginePool, task: GenerationTask, sink: RowSink, to_do: RowsToDo) -> None:
        self._pool = pool
        self._rows_in_flight = pool.rows_in_flight(task.plan, to_do.num_rows)
        self._order = Order(task=task, sink=sink).pack()
        self._sink = sink
        self._written = WrittenParts(sink)
        self._to_do = to_do
        #: None that an earlier dispatch had: an engine that was given up and was only out of reach may still have that
        #: one's calls, and speak of them.
        self._numbers = itertools.count(time.time_ns())
        #: Calls that are not known to be durable.
        self._calls: dict[PooledEngine, dict[int, Call]] = defaultdict(dict)
        self._asked: dict[Any, _Asked] = {}
        self._losses_in_a_row = 0
        self._reason = ""
        self.num_losses = 0
        self.num_unread = 0

    def run(self) -> None:
        """Raises StageError when engines or blocks are lost again and again without a finished row, or when what
        engines write does not arrive here."""
        while self._to_do.num_rows or self._asked or any(self._calls.values()):
            self._pool.tend(self._to_do.num_rows, self._rows_in_flight)
            self._hand_out()
            self._collect()
        self._to_do.end()
        self._written.wait_for_all()

    def _hand_out(self) -> None:
        """Suspects wait for an engine that is idle, so they come last unless there is one."""
        while (engine := self._pool.idle_engine()) and (call := self._to_do.next_suspect()):
            self._submit(engine, call, num_left=0)
        for engine in self._pool.ready_engines():
            if self._to_do.num_unsuspected and not engine.is_leaving:
                size = rows_per_call(self._to_do.num_rows, self._pool.max_engines, self._rows_in_flight)
                self._submit(engine, self._to_do.next_call(size), num_left=self._rows_in_flight - size)
            elif engine.rows_in_flight:
                self._ask(engine, engine.actor.finish.remote())

    def _submit(self, engine: PooledEngine, call: Call, *, num_left: int) -> None:
        """Engines read the block themselves."""
        number = next(self._numbers)
        self._calls[engine][number] = call
        engine.rows_in_flight += len(call.rows)
        reference = engine.actor.generate.remote(self._order, number, call.block, call.rows, num_left)
        self._ask(engine, reference, number)

    def _ask(self, engine: PooledEngine, reference: Any, number: int | None = None) -> None:
        assert engine.facts is not None, "engines that are up are asked"
        engine.is_asked = True
        self._asked[reference] = _Asked(engine, engine.facts, number)

    def _collect(self) -> None:
        """Take in all that is done, at least one answer or engine unless nothing is for a while."""
        import ray

        waiting = [*self._asked, *self._pool.opening]
        done, _ = ray.wait(waiting, timeout=_WAIT_S)
        if done:
            time.sleep(min(_MAX_PAUSE_S, _PAUSE_PER_ENGINE_S * len(waiting)))
            done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        for reference in done:
            if reference in self._asked:
                self._answered(reference, self._asked.pop(reference))

    def _answered(self, reference: Any, asked: _Asked) -> None:
        import ray

        asked.engine.is_asked = False
        try:
            progress = ray.get(reference)
        except ray.exceptions.ObjectLostError as error:
            self._unread(asked.engine, asked.number, error)
        except (EngineFailure, ray.exceptions.RayActorError) as error:
            self._lost(asked, _first_line(error), is_up=isinstance(error, EngineFailure))
        else:
            if progress.writer_id == asked.facts.writer_id:
                self._take_in(asked.engine, progress)
            else:
                self._lost(asked, "its process was started again", is_up=True)

    def _take_in(self, engine: PooledEngine, progress: EngineProgress) -> None:
        """An engine that was only out of reach also speaks of calls that it had when it was given up."""
        for call in filter(None, (self._calls[engine].pop(number, None) for number in progress.finished)):
            self._pool.returned(engine, len(call.rows))
            self._losses_in_a_row = 0
        if progress.finished:
            self._written.add(progress.part)

    def _unread(self, engine: PooledEngine, number: int | None, error: Exception) -> None:
        """The block of a call is gone, with its node, and Ray could not make it once more: its rows have to be laid out
        anew."""
        assert number is not None, "only calls have blocks"
        num_rows = len(self._calls[engine].pop(number).rows)
        self._pool.returned(engine, num_rows)
        self.num_unread += num_rows
        self._losses_in_a_row += 1
        self._check_losses(f"a block of requests is gone ({_first_line(error)})")

    def _lost(self, asked: _Asked, reason: str, *, is_up: bool) -> None:
        """What the engine had finished is kept; the rest is to do again. `is_up`: its process still lives."""
        durable = finished_rows(self._sink, asked.facts.writer_id)
        for number in list(self._calls[asked.engine]):
            self._take_back(asked.engine, number, durable)
        if is_up or not self._reason:  # of a lost process Ray only says that it is gone
            self._reason = reason
        self.num_losses += 1
        self._losses_in_a_row += 1
        self._pool.replace(asked.engine, kill=is_up)
        self._check_losses(self._reason)

    def _take_back(self, engine: PooledEngine, number: int, durable: Collection[RowKey]) -> None:
        import ray

        call = self._calls[engine][number]
        try:
            ids = _ids(call)
        except ray.exceptions.RayError as error:
            self._unread(engine, number, error)
            return
        missing = [row for row, row_ids in zip(call.rows, ids, strict=True) if row_ids[:2] not in durable]
        if len(missing) < len(call.rows):
            self._losses_in_a_row = 0
        self._pool.returned(engine, len(call.rows))
        del self._calls[engine][number]
        if call.is_suspect and len(call.rows) == 1 and missing:
            self._quarantine(call)
        else:
            self._to_do.give_back(after_a_loss(call, missing))

    def _quarantine(self, call: Call) -> None:
        ((problem_id, ask_id, requested),) = _ids(call)
        reason = f"{call.attempts + 1} engines were lost while they sampled it, the last one with nothing else to do"
        lost = Quarantined(problem_id=problem_id, requested=requested, ask_id=ask_id, reason=reason)
        write_quarantine(self._sink, f"lost-{content_hash(problem_id, ask_id)}.parquet", [lost])

    def _check_losses(self, reason: str) -> None:
        if self._losses_in_a_row > _LOSSES_PER_ENGINE * len(self._pool):
            raise StageError(
                f"Engines were lost {self._losses_in_a_row} times without finishing a row, because of: "
                f"{reason}. What was finished is kept; the same command continues from there."
            )


def _ids(call: Call) -> list[tuple[str, str, str]]:
    """(problem_id, ask_id, requested) of a call's rows; raises RayError where the block does not come."""
    import ray

    block = ray.get(call.block, timeout=_READ_TIMEOUT_S)
    rows = block.select(["problem_id", "ask_id", "requested"]).take(list(call.rows)).to_pylist()
    return [(row["problem_id"], row["ask_id"], row["requested"]) for row in rows]


def _first_line(error: BaseException) -> str:
    error = raised_by_task(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
