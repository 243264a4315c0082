"""Calls to engines: rows of a block that go to one engine together, and what of them is still to do."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Rows that travel to an engine together, at most.
ROWS_PER_CALL = 256
#: Calls that an engine's rows in flight are divided into: it asks for the next one before it runs short.
_CALLS_PER_ENGINE = 2
#: Calls to each engine that the last rows of a stage are good for, so that all engines end at about the same time.
_LAST_CALLS_PER_ENGINE = 4
#: A call has at least this part of what an engine may have in flight: each costs a part on disk.
_LEAST_PART = 1 / 32
#: Pieces that come back of a call whose engine was lost.
_PIECES = 4
#: Losses after which rows are suspected: they get an engine to themselves.
_LOSSES_OF_A_SUSPECT = 2


@dataclass(frozen=True, slots=True)
class Call:
    """Rows, by their indices, of the block that a reference leads to; `attempts` counts engines that were lost with
    them."""

    block: Any
    rows: Sequence[int]
    attempts: int = 0

    @property
    def is_suspect(self) -> bool:
        """Engines were lost with these rows more than once: one of them may be what takes engines down."""
        return self.attempts >= _LOSSES_OF_A_SUSPECT


def rows_per_call(num_rows: int, num_engines: int, rows_in_flight: int) -> int:
    """Few rows are spread over the engines, and of many no call is all that an engine has."""
    most = min(ROWS_PER_CALL, math.ceil(rows_in_flight / _CALLS_PER_ENGINE))
    last = max(num_rows / num_engines / _LAST_CALLS_PER_ENGINE, rows_in_flight * _LEAST_PART)
    return min(most, math.ceil(last))


def after_a_loss(call: Call, missing: Sequence[int]) -> list[Call]:
    """What is still to do of a call whose engine was lost: in pieces, to get at a row that takes engines down."""
    size = max(1, math.ceil(len(missing) / _PIECES))
    return [Call(call.block, missing[i : i + size], call.attempts + 1) for i in range(0, len(missing), size)]


class RowsToDo:
    """`num_rows` rows of a stream of blocks (a reference, and how many rows), and those that came back from a loss."""

    def __init__(self, blocks: Iterator[tuple[Any, int]], num_rows: int) -> None:
        self.num_rows = num_rows
        self._blocks = blocks
        #: What was not taken yet of the block that came last.
        self._rest = Call(None, range(0))
        self._again: deque[Call] = deque()
        self._suspects: deque[Call] = deque()

    @property
    def num_unsuspected(self) -> int:
        """Rows that need no engine to themselves."""
        return self.num_rows - sum(len(call.rows) for call in self._suspects)

    def next_call(self, num_rows: int) -> Call:
        """Unsuspected rows, `num_rows` at most. There have to be some."""
        if not self._again and not self._rest.rows:
            block, size = next(self._blocks)
            self._rest = Call(block, range(size))
        call = self._again.popleft() if self._again else self._rest
        taken, rest = (Call(call.block, rows, call.attempts) for rows in (call.rows[:num_rows], call.rows[num_rows:]))
        if call is self._rest:
            self._rest = rest
        elif rest.rows:
            self._again.appendleft(rest)
        self.num_rows -= len(taken.rows)
        return taken

    def next_suspect(self) -> Call | None:
        """Rows for an engine that has nothing else to do."""
        if not self._suspects:
            return None
        call = self._suspects.popleft()
        self.num_rows -= len(call.rows)
        return call

    def give_back(self, calls: Iterable[Call]) -> None:
        """These are to do again."""
        for call in calls:
            self.num_rows += len(call.rows)
            (self._suspects if call.is_suspect else self._again).append(call)

    def end(self) -> None:
        """There are no further blocks: Ray Data ends its pipeline when it is asked for more."""
        next(self._blocks, None)
