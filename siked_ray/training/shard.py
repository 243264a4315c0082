"""A training worker's rows as a Ray Data dataset of its own: packed elsewhere, in the order of the steps.

Which rows they are follows from the schedule, so shards together hold what one worker alone would have, and a worker
that goes on at step k has its data packed from there.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from siked_ray.data.storage import Storage
from siked_ray.data.task_dataset import task_dataset
from siked_ray.training.packing import SHUFFLE_WINDOW, PackedRow
from siked_ray.training.plan import Schedule, packed_rows
from siked_ray.training.tokens import Chunks, TokenisedExamples

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: One task packs while the one before is trained on.
_TASKS_AT_ONCE = 2
_ROWS_PER_TABLE = 256
_TABLES_AHEAD = 2
#: Every worker has a pipeline of its own, which does not know of the others'.
_MAX_BYTES_AHEAD = 256 * 2**20
_COLUMNS = ("tokens", "prompt_lengths", "response_lengths")


def open_shard(
    storage: Storage, chunks: Chunks, schedule: Schedule, *, rank: int, num_workers: int, first_step: int = 0
) -> Iterator[PackedRow]:
    """The worker's rows from a step on; the first ones have been fetched when this returns."""
    shares = [schedule.share(steps, rank=rank, num_workers=num_workers) for steps in _spans(schedule, first_step)]
    tasks = [partial(_pack, storage, chunks, indices, ends) for indices, ends in shares if len(ends)]
    if not tasks:
        return iter(())
    data = task_dataset(tasks, tasks_at_once=_TASKS_AT_ONCE, ordered=True, max_bytes_ahead=_MAX_BYTES_AHEAD)
    tables = data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=_TABLES_AHEAD)
    rows = chain.from_iterable(map(_rows, tables))
    return chain([next(rows)], rows)


def _spans(schedule: Schedule, first_step: int) -> Iterator[range]:
    """Consecutive steps with the examples of a shuffle window: so many share their chunks, which a task reads once."""
    import numpy as np

    examples_before = np.concatenate([[0], schedule.ends])[schedule.first_rows]
    start = first_step
    while start < len(schedule):
        end = int(np.searchsorted(examples_before, examples_before[start] + SHUFFLE_WINDOW))
        yield range(start, min(end, len(schedule)))
        start = end


def _pack(storage: Storage, chunks: Chunks, indices: "np.ndarray", ends: "np.ndarray") -> "Iterator[pa.Table]":
    rows: list[PackedRow] = []
    for row in packed_rows(TokenisedExamples(storage, chunks), indices, ends):
        rows.append(row)
        if len(rows) == _ROWS_PER_TABLE:
            yield _table(rows)
            rows = []
    if rows:
        yield _table(rows)


def _table(rows: list[PackedRow]) -> "pa.Table":
    import pyarrow as pa

    lists = pa.list_(pa.int32())
    return pa.table({name: pa.array([getattr(row, name) for row in rows], lists) for name in _COLUMNS})


def _rows(table: "pa.Table") -> Iterator[PackedRow]:
    columns = (_lists(table[name].combine_chunks()) for name in _COLUMNS)
    for tokens, prompt_lengths, response_lengths in zip(*columns, strict=True):
        yield PackedRow(tokens, prompt_lengths, response_lengths)


def _lists(column: "pa.ListArray") -> "list[np.ndarray]":
    import numpy as np

    offsets = column.offsets.to_numpy()
    return np.split(column.flatten().to_numpy(), offsets[1:-1] - offsets[0])
