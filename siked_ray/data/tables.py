"""SQL over the Parquet tables of a run, by an embedded engine that works within a bound of memory and spills the rest.

Files are read through `Storage`, so a table may lie wherever a run may.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from siked_ray.data.file_system import damaged
from siked_ray.data.schemas import empty_table
from siked_ray.data.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS = 50_000
#: Beyond this the engine writes to a temporary folder.
_MEMORY_LIMIT = "2GiB"
#: Each thread wants its share of the memory: more of them do not go with that bound.
_MAX_THREADS = 8


@contextmanager
def sql_engine() -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection of its own, with nothing in it. Raises `DataError` where an attached file cannot be read."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="siked-tables-") as folder:
        settings: dict[str, Any] = {
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": folder,
            "threads": min(os.cpu_count() or 1, _MAX_THREADS),
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=settings) as connection:
            connection.execute("SET preserve_insertion_order = false")
            try:
                yield connection
            except duckdb.InvalidInputException as error:
                raise damaged("A table of the run", error) from None


def attach(
    connection: "duckdb.DuckDBPyConnection", storage: Storage, kind: str, parts: Mapping[str, Sequence[str]]
) -> None:
    """Make tables of the given names out of Parquet files, all with the columns of `kind`; no files, no rows."""
    schema = empty_table(kind).schema
    for name, files in parts.items():
        connection.register(name, storage.dataset(files, schema) if files else empty_table(kind))


def read_columns(storage: Storage, kind: str, names: Sequence[str], columns: Sequence[str] | None = None) -> "pa.Table":
    """Parquet files of a kind, one after the other; a column that a file does not have is null."""
    import pyarrow as pa

    empty = empty_table(kind)
    wanted = list(columns or empty.column_names)
    if not names:
        return empty.select(wanted)
    try:
        return storage.dataset(names, empty.schema).to_table(columns=wanted)
    except pa.ArrowInvalid as error:
        raise damaged("A table of the run", error) from None


def rows(connection: "duckdb.DuckDBPyConnection", query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The answer to a query for a few figures, as mappings."""
    return connection.sql(query, params=list(parameters)).to_arrow_table().to_pylist()


class SqlTables:
    """`siked_ray.core.rule.Sql` on a connection."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", storage: Storage) -> None:
        self.connection = connection
        self._storage = storage

    def attach(self, kind: str, **parts: Sequence[str]) -> None:
        """Make tables of these names out of Parquet files with the columns of `kind`; no files, no rows."""
        attach(self.connection, self._storage, kind, parts)

    def attach_file(self, name: str, file: str) -> None:
        """Make a table out of a Parquet file with its own columns."""
        self.connection.register(name, self._storage.dataset([file], None))

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> None:
        self.connection.execute(query, list(parameters) or None)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return rows(self.connection, query, parameters)

    def sha256(self, query: str) -> str:
        digest, separator = hashlib.sha256(), b""
        for batch in self.connection.sql(query).to_arrow_reader(_BATCH_ROWS):
            if batch.num_rows:
                digest.update(separator + _joined(batch.column(0)))
                separator = b"\x1f"
        return digest.hexdigest()

    def write(
        self,
        name: str,
        query: str,
        columns: Sequence[str],
        finish: Callable[[dict[str, Any]], Mapping[str, Any]],
    ) -> None:
        """Stream a query's rows, each as `finish` makes it, into a Parquet file with these columns of texts."""
        import pyarrow as pa

        schema = pa.schema([(column, pa.string()) for column in columns])

        def finished() -> "Iterator[pa.RecordBatch]":
            for batch in self.connection.sql(query).to_arrow_reader(_BATCH_ROWS):
                rows = [finish(row) for row in batch.to_pylist()]
                if rows:
                    arrays = [pa.array([row[column] for row in rows], pa.string()) for column in columns]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        self._storage.write_parquet_batches(name, pa.RecordBatchReader.from_batches(schema, finished()))


def _joined(texts: "pa.Array") -> bytes:
    """All texts of an array one after the other, separated as in `siked_ray.core.ids.content_hash`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return pc.binary_join(lists, "\x1f")[0].as_buffer().to_pybytes()
