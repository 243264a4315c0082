"""Requests of a sampling stage: (problem, strategy) rows out of the problem tables, streamed by Ray Data.

The driver looks at ids only and says which rows are wanted; tasks read the questions and lay the rows out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from siked_ray.data.storage import Storage
from siked_ray.data.task_dataset import task_dataset
from siked_ray.generation.durable import RowKey
from siked_ray.generation.task import Row

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("problem_id", "question", "answer")
_TASKS_AT_ONCE = 2
_BATCHES_AHEAD = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestBlock:
    """Requests out of one row group of a problem table: `wanted[i]` names the strategies for its i-th problem."""

    table: str
    row_group: int
    wanted: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return sum(map(len, self.wanted))


def missing_requests(
    storage: Storage, tables: Sequence[str], strategies: Sequence[str], finished: set[RowKey]
) -> tuple[list[RequestBlock], int]:
    """The requests that are not finished, and how many there are with those; a problem in two tables counts once."""
    blocks: list[RequestBlock] = []
    seen: set[str] = set()
    for name in tables:
        for row_group, ids in enumerate(storage.row_groups(name, "problem_id")):
            wanted = []
            for one in ids:
                new = () if one in seen else strategies
                seen.add(one)
                wanted.append(tuple(s for s in new if (one, s) not in finished))
            block = RequestBlock(table=name, row_group=row_group, wanted=tuple(wanted))
            blocks += [block] if len(block) else []
    return blocks, len(seen) * len(strategies)


def request_batches(storage: Storage, blocks: Sequence[RequestBlock], batch_size: int) -> Iterator[list[Row]]:
    """Stream the rows in lists of `batch_size`; strategies of a problem side by side (they share their prompt)."""
    tasks = [partial(_laid_out, storage, block) for block in blocks]
    data = task_dataset(tasks, tasks_at_once=_TASKS_AT_ONCE, ordered=False)
    batches = data.iter_batches(batch_size=batch_size, batch_format="pyarrow", prefetch_batches=_BATCHES_AHEAD)
    for batch in batches:
        yield batch.to_pylist()


def lay_out(storage: Storage, block: RequestBlock) -> "pa.Table":
    """The rows {problem_id, question, answer, strategy} of a block."""
    import pyarrow as pa

    problems = storage.read_row_group(block.table, block.row_group, list(_COLUMNS))
    positions = [i for i, strategies in enumerate(block.wanted) for _ in strategies]
    strategies = [strategy for strategies in block.wanted for strategy in strategies]
    return problems.take(pa.array(positions, pa.int64())).append_column("strategy", pa.array(strategies, pa.string()))


def _laid_out(storage: Storage, block: RequestBlock) -> "Iterator[pa.Table]":
    yield lay_out(storage, block)
