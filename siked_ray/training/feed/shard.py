"""A training worker's rows as a Ray Data dataset of its own: packed elsewhere, in the order of the steps.

Which rows they are follows from the schedule, so shards together hold what one worker alone would have, and a worker
that goes on at step k has its data packed from there.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat, starmap
from typing import TYPE_CHECKING

from siked_ray.core.objective import TEACHER_COLUMNS, TEACHER_IDS
from siked_ray.data.payload import TopK
from siked_ray.data.storage import Storage
from siked_ray.data.task_dataset import task_dataset
from siked_ray.data.teacher_columns import teacher_columns
from siked_ray.training.compute.packing import PackedRow
from siked_ray.training.compute.schedule import Schedule, packed_rows
from siked_ray.training.feed.tokens import Chunks, TokenisedExamples

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
_WRONG, _TAGS = "wrong", "tag_lengths"


def open_shard(
    storage: Storage, chunks: Chunks, schedule: Schedule, *, rank: int, num_workers: int, first_step: int = 0
) -> Iterator[PackedRow]:
    """The worker's rows from a step on; the first ones have been fetched when this returns."""
    spans = _spans(schedule, first_step, chunks.window.num_examples)
    shares = [schedule.share(steps, rank=rank, num_workers=num_workers) for steps in spans]
    tasks = [partial(_pack, storage, chunks, indices, ends) for indices, ends in shares if len(ends)]
    if not tasks:
        return iter(())
    data = task_dataset(tasks, tasks_at_once=_TASKS_AT_ONCE, ordered=True, max_bytes_ahead=_MAX_BYTES_AHEAD)
    tables = data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=_TABLES_AHEAD)
    rows = chain.from_iterable(map(_rows, tables))
    return chain([next(rows)], rows)


def _spans(schedule: Schedule, first_step: int, num_examples: int) -> Iterator[range]:
    """Consecutive steps with `num_examples` or a few more, those of a shuffle window: so many share their chunks, which
    a task reads once."""
    import numpy as np

    examples_before = np.concatenate([[0], schedule.ends])[schedule.first_rows]
    start = first_step
    while start < len(schedule):
        end = int(np.searchsorted(examples_before, examples_before[start] + num_examples))
        yield range(start, min(end, len(schedule)))
        start = end


def _pack(storage: Storage, chunks: Chunks, indices: "np.ndarray", ends: "np.ndarray") -> "Iterator[pa.Table]":
    rows: list[PackedRow] = []
    for row in packed_rows(TokenisedExamples(storage, chunks), indices, ends):
        rows.append(row)
        if len(rows) == _ROWS_PER_TABLE:
            yield _table(rows, chunks.with_teacher, chunks.with_wrong, chunks.with_tags)
            rows = []
    if rows:
        yield _table(rows, chunks.with_teacher, chunks.with_wrong, chunks.with_tags)


def _table(rows: list[PackedRow], with_teacher: bool, with_wrong: bool = False, with_tags: bool = False) -> "pa.Table":
    import pyarrow as pa

    lists = pa.list_(pa.int32())
    columns = {name: pa.array([getattr(row, name) for row in rows], lists) for name in _COLUMNS}
    if with_wrong:
        columns |= {_WRONG: pa.array([row.is_wrong_E for row in rows], lists)}
    if with_tags:
        columns |= {_TAGS: pa.array([row.num_tag_E for row in rows], lists)}
    if with_teacher:
        columns |= teacher_columns([row.payload for row in rows])
    return pa.table(columns)


def _rows(table: "pa.Table") -> Iterator[PackedRow]:
    columns = (_lists(table[name].combine_chunks()) for name in _COLUMNS)
    marks = (
        _lists(table[name].combine_chunks()) if name in table.column_names else repeat(None, len(table))
        for name in (_WRONG, _TAGS)
    )
    for tokens, prompts, responses, payload, *marked in zip(*columns, _payloads(table), *marks, strict=True):
        yield PackedRow(tokens, prompts, responses, payload, *marked)


def _payloads(table: "pa.Table") -> Iterator[TopK | None]:
    if TEACHER_IDS not in table.column_names:
        return repeat(None, len(table))
    return starmap(
        TopK.from_flat, zip(*(_lists(table[name].combine_chunks()) for name in TEACHER_COLUMNS), strict=True)
    )


def _lists(column: "pa.ListArray") -> "list[np.ndarray]":
    import numpy as np

    offsets = column.offsets.to_numpy()
    return np.split(column.flatten().to_numpy(), offsets[1:-1] - offsets[0])
