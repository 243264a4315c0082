"""The teacher's probabilities of rows, found by the rows' ids in the files of scoring stages."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from siked_ray.core.objective import TEACHER_COLUMNS, TEACHER_IDS
from siked_ray.data.storage import Storage
from siked_ray.data.teacher_columns import TEACHER_END

if TYPE_CHECKING:
    import pyarrow as pa

#: Row groups in memory: those of a chunk of rows, and of the next one where the order of both is the same.
_GROUPS_IN_MEMORY = 8


class ScoresById:
    """Only ids are in memory, and the few row groups that were read last: rows and scores have nearly one order."""

    def __init__(self, storage: Storage, files: Sequence[str], student_end: int) -> None:
        """`student_end` is the student's end-of-sequence token, for which the teacher's counts."""
        self._storage = storage
        self._student_end = student_end
        self._places: dict[str, tuple[str, int, int]] = {}
        for name in files:
            for group, ids in enumerate(storage.row_groups(name, "request_id")):
                self._places.update((one, (name, group, row)) for row, one in enumerate(ids))
        self._groups: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()

    def columns(self, request_ids: Sequence[str]) -> "dict[str, pa.Array]":
        """TEACHER_COLUMNS of rows with these ids; null for a row that no teacher scored."""
        import pyarrow as pa

        rows = [self._row(one) for one in request_ids]
        found = [row for row in rows if row is not None]
        order = iter(range(len(found)))
        places = pa.array([None if row is None else next(order) for row in rows], pa.int64())
        if not found:
            empty = pa.nulls(len(rows), pa.list_(pa.int32()))
            return dict.fromkeys(TEACHER_COLUMNS, empty)
        table = pa.concat_tables(found).combine_chunks()
        return {name: table[name].combine_chunks().take(places) for name in TEACHER_COLUMNS}

    def _row(self, request_id: str) -> "pa.Table | None":
        place = self._places.get(request_id)
        if place is None:
            return None
        name, group, row = place
        return self._group(name, group).slice(row, 1)

    def _group(self, name: str, group: int) -> "pa.Table":
        key = (name, group)
        if key not in self._groups:
            table = self._storage.read_row_group(name, group, list(TEACHER_COLUMNS))
            self._groups[key] = _with_end(table, self._student_end)
            if len(self._groups) > _GROUPS_IN_MEMORY:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]


def _with_end(table: "pa.Table", student_end: int) -> "pa.Table":
    """With the student's end in the place of the teacher's, and the other way round."""
    import numpy as np
    import pyarrow as pa

    teacher_end = int(table.schema.metadata[TEACHER_END.encode()])
    if teacher_end == student_end:
        return table
    lists = table[TEACHER_IDS].combine_chunks()
    ids = lists.flatten().to_numpy()
    swapped = np.where(ids == teacher_end, student_end, np.where(ids == student_end, teacher_end, ids))
    offsets = pa.array(lists.offsets.to_numpy() - lists.offsets[0].as_py(), pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(swapped, pa.int32()))
    return table.set_column(table.schema.get_field_index(TEACHER_IDS), TEACHER_IDS, column)
