"""What a scoring stage still has to do, call by call, and its parts made into one file."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siked_ray.data.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of one call.
ROWS_PER_CALL = 512
_COLUMNS = ["problem_id", "strategy", "response", "request_id"]
#: Rows that are read together where training takes some: 1 MB of the top 16 of 20 tokens, 8 MB of 150.
_ROWS_PER_GROUP = 512


@dataclass(frozen=True, slots=True)
class ScoringCall:
    """The `index`-th ROWS_PER_CALL rows of a row group."""

    row_group: int
    index: int

    @property
    def prefix(self) -> str:
        """What the names of its parts begin with."""
        return f"part-{self.row_group:06d}-{self.index:06d}-"


def rows_of(storage: Storage, name: str, call: ScoringCall) -> list[dict[str, str]]:
    """The rows of a call."""
    batches = storage.parquet_batches(name, _COLUMNS, ROWS_PER_CALL, (call.row_group,))
    return next(itertools.islice(batches, call.index, None)).to_pylist()


def calls_of(storage: Storage, name: str) -> list[ScoringCall]:
    """All calls of a file of rows."""
    sizes = enumerate(storage.row_group_sizes(name))
    return [ScoringCall(group, index) for group, size in sizes for index in range(-(-size // ROWS_PER_CALL))]


def scored_ids(storage: Storage, folder: str, prefix: str = "part-") -> set[str]:
    """Ids of the rows in the parts whose names begin so."""
    names = [name for name in storage.files(folder, ".parquet") if name.startswith(f"{folder}/{prefix}")]
    return {one for name in names for one in storage.read_columns(name, ["request_id"])["request_id"].to_pylist()}


def compacted(storage: Storage, folder: str, name: str) -> int:
    """Make the pending parts into one file, each row once and in the order of the rows; its number of rows."""
    import pyarrow as pa

    names = storage.files(folder, ".parquet")
    if not names:
        return 0

    def groups() -> "Iterator[pa.RecordBatch]":
        seen: set[str] = set()
        waiting: list[pa.Table] = []
        for part in names:
            table = storage.read_parquet(part)
            ids = table["request_id"].to_pylist()
            new = [n for n, one in enumerate(ids) if one not in seen]
            seen.update(ids)
            waiting.append(table.take(pa.array(new, pa.int64())))
            if part == names[-1] or sum(map(len, waiting)) >= _ROWS_PER_GROUP:
                yield from pa.concat_tables(waiting).combine_chunks().to_batches()
                waiting = []

    schema = storage.read_parquet(names[0]).schema
    return storage.write_parquet_batches(name, pa.RecordBatchReader.from_batches(schema, groups()))
