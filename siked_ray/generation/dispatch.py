"""Rows out to the engines, and what happens when one of them is lost.

The loop runs in the driver and moves requests only: what engines sample they write themselves.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from siked_ray.errors import StageError
from siked_ray.generation.batch import Quarantined
from siked_ray.generation.durable import finished_rows, write_quarantine
from siked_ray.generation.engine import EngineFailure
from siked_ray.generation.generator import EngineFacts
from siked_ray.generation.pool import CALLS_PER_ENGINE, ROWS_PER_CALL, EnginePool, PooledEngine
from siked_ray.generation.task import GenerationTask, Row, RowSink
from siked_ray.generation.written import WrittenParts

#: Losses of engines, per engine and without a finished row between them, after which a stage gives up.
_LOSSES_PER_ENGINE = 5
#: Losses after which a row that is alone in its call is suspected: it gets an engine to itself, once.
_LOSSES_OF_A_SUSPECT = 2
_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """Rows that go to one engine together; `attempts` counts engines that were lost with them."""

    rows: list[Row]
    attempts: int = 0

    @property
    def is_suspect(self) -> bool:
        """One row that engines were lost with more than once: it may be what takes them down."""
        return len(self.rows) == 1 and self.attempts >= _LOSSES_OF_A_SUSPECT


@dataclass(frozen=True, slots=True)
class _Flight:
    """A call on its way: the engine, and what it was when the call was submitted."""

    engine: PooledEngine
    facts: EngineFacts
    call: Call


def rows_per_call(num_rows: int, num_engines: int, rows_in_flight: int) -> int:
    """Few rows are spread over the engines, and of many no call is all that an engine has."""
    rows_per_engine = min(num_rows / num_engines, rows_in_flight)
    return max(1, min(ROWS_PER_CALL, math.ceil(rows_per_engine / CALLS_PER_ENGINE)))


def after_a_loss(call: Call, missing: Sequence[Row]) -> list[Call]:
    """What is still to do of a call whose engine was lost: in two halves, to get at a row that takes engines down."""
    middle = -(-len(missing) // 2)
    halves = (list(missing[:middle]), list(missing[middle:]))
    return [Call(rows, call.attempts + 1) for rows in halves if rows]


class Dispatch:
    """Gives rows to a pool until all are durable or in quarantine. `num_rows` is how many `batches` hold."""

    def __init__(
        self, pool: EnginePool, task: GenerationTask, sink: RowSink, batches: Iterator[list[Row]], num_rows: int
    ) -> None:
        import ray

        self._pool = pool
        self._rows_in_flight = pool.rows_in_flight(task.plan, num_rows)
        self._task = ray.put(task)
        self._sink = sink
        self._written = WrittenParts(sink)
        self._batches = batches
        self._num_waiting = num_rows
        self._again: deque[Call] = deque()
        self._suspects: deque[Call] = deque()
        self._in_flight: dict[Any, _Flight] = {}
        self._losses_in_a_row = 0
        self._reason = ""
        self.num_losses = 0

    def run(self) -> None:
        """Raises StageError when engines are lost again and again without a finished row, or when what they write
        does not arrive here."""
        while self._num_waiting or self._in_flight:
            self._pool.tend(self._num_waiting, self._rows_in_flight)
            self._hand_out()
            self._collect()
        self._written.wait_for_all()

    def _hand_out(self) -> None:
        """Suspects wait for an engine that is idle, so they come last unless there is one."""
        while self._suspects and (engine := self._pool.idle_engine()):
            self._submit(engine, self._suspects.popleft())
        while self._num_waiting > len(self._suspects) and (engine := self._pool.free_engine(self._rows_in_flight)):
            self._submit(engine, self._again.popleft() if self._again else Call(next(self._batches)))

    def _submit(self, engine: PooledEngine, call: Call) -> None:
        self._num_waiting -= len(call.rows)
        assert engine.facts is not None, "rows go to engines that are up"
        reference = self._pool.submit(engine, self._task, self._sink, call.rows, is_reserved=call.is_suspect)
        self._in_flight[reference] = _Flight(engine, engine.facts, call)

    def _collect(self) -> None:
        import ray

        done, _ = ray.wait([*self._in_flight, *self._pool.opening], timeout=_WAIT_S)
        for reference in done:
            if reference in self._in_flight:
                self._returned(reference, self._in_flight.pop(reference))

    def _returned(self, reference: Any, flight: _Flight) -> None:
        import ray

        self._pool.returned(flight.engine, flight.call.rows)
        try:
            self._written.add(ray.get(reference))
            self._losses_in_a_row = 0
        except (EngineFailure, ray.exceptions.RayActorError) as error:
            self._lost(flight, error)

    def _lost(self, flight: _Flight, error: Exception) -> None:
        """What the engine had finished of a call is kept; the rest is waiting again."""
        durable = finished_rows(self._sink, flight.facts.writer_id)
        missing = [row for row in flight.call.rows if (row["problem_id"], row["strategy"]) not in durable]
        if len(missing) < len(flight.call.rows):
            self._losses_in_a_row = 0
        self._give_back(flight.call, missing)
        if isinstance(error, EngineFailure) or not self._reason:  # of a lost process Ray only says that it is gone
            self._reason = _first_line(error)
        if flight.engine.facts == flight.facts:  # the first of its calls to come back
            self.num_losses += 1
            self._losses_in_a_row += 1
            self._pool.replace(flight.engine, kill=isinstance(error, EngineFailure))
        if self._losses_in_a_row > _LOSSES_PER_ENGINE * len(self._pool):
            raise StageError(
                f"Engines were lost {self._losses_in_a_row} times without finishing a row, because of: "
                f"{self._reason}. What was finished is kept; the same command continues from there."
            )

    def _give_back(self, call: Call, missing: Sequence[Row]) -> None:
        if call.is_suspect and missing:
            row = missing[0]
            reason = (
                f"{call.attempts + 1} engines were lost while they sampled it, the last one with nothing else to do"
            )
            lost = Quarantined(problem_id=row["problem_id"], strategy=row["strategy"], reason=reason)
            write_quarantine(self._sink, f"lost-{row['problem_id']}-{row['strategy']}.parquet", [lost])
            return
        for half in after_a_loss(call, missing):
            (self._suspects if half.is_suspect else self._again).append(half)
        self._num_waiting += len(missing)


def _first_line(error: Exception) -> str:
    error = getattr(error, "cause", None) or error  # what Ray wraps
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
