"""What a generator does for one task and one sink: calls that are sampled, verified and written side by side."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from siked_ray.generation.batch_sampler import BatchSampler
from siked_ray.generation.durable import RowWriter
from siked_ray.generation.finished import Quarantined, SampledRow
from siked_ray.generation.task import Row

#: Told of every finished row.
Count = Callable[[SampledRow | Quarantined], None]


@dataclass(frozen=True, slots=True)
class EngineProgress:
    """What an engine says when it is ready for more: the calls, by number, of which all rows have become durable since
    it last said so, the part that was written last, and the prefix of its parts."""

    finished: tuple[int, ...]
    part: str
    writer_id: str


class OrderSession:
    """Calls that share an engine. Ends by `close`, when none is under way."""

    def __init__(self, sampler: BatchSampler, writer: RowWriter, count: Count, writer_id: str) -> None:
        self._sampler = sampler
        self._writer = writer
        self._count = count
        self._writer_id = writer_id
        self._changed = threading.Condition()
        self._num_rows = 0
        #: What is waited for: threads that wake up for nothing take the interpreter's lock from the engine.
        self._num_left = 0
        self._under_way: set[int] = set()
        self._finished: list[int] = []
        self._failure: Exception | None = None

    def begin(self, number: int, rows: Sequence[Row]) -> None:
        """Take a call."""
        with self._changed:
            self._num_rows += len(rows)
            self._under_way.add(number)
        threading.Thread(target=self._run, args=(number, rows), name=f"call {number}", daemon=True).start()

    def wait_for(self, num_rows: int) -> EngineProgress:
        """Return when no more than `num_rows` rows are unfinished; with 0, when all are durable too. Raises what a call
        failed of, from then on always."""
        with self._changed:
            self._num_left = num_rows
            self._changed.wait_for(lambda: self._failure or self._is_down())
            if self._failure is not None:
                raise self._failure
            finished, self._finished = tuple(self._finished), []
            return EngineProgress(finished, self._writer.last_part, self._writer_id)

    def flush(self) -> None:
        """When this returns, all rows that were finished are durable."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and end the threads."""
        self._sampler.close()
        self._writer.close()

    def _is_down(self) -> bool:
        return self._num_rows <= self._num_left and bool(self._num_left or not self._under_way)

    def _run(self, number: int, rows: Sequence[Row]) -> None:
        try:
            for finished in self._sampler.run(rows):
                self._writer.add(finished)
                self._count(finished)
                with self._changed:
                    self._num_rows -= 1
                    if self._num_rows == self._num_left:
                        self._changed.notify_all()
            self._writer.flush()
        except Exception as error:
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()
            return
        with self._changed:
            self._under_way.remove(number)
            self._finished.append(number)
            self._changed.notify_all()
