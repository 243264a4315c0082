"""SQL over the Parquet tables of a run, by an embedded engine that works within a bound of memory and spills the rest.

Files are read through `Storage`, so a table may lie wherever a run may.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from siked_ray.data.schemas import empty_table
from siked_ray.data.storage import Storage, damaged

if TYPE_CHECKING:
    import duckdb

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


def rows(connection: "duckdb.DuckDBPyConnection", query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The answer to a query for a few figures, as mappings."""
    return connection.sql(query, params=list(parameters)).to_arrow_table().to_pylist()
