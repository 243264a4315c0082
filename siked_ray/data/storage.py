"""Files of a run on any file system that pyarrow knows: local folders, NFS, `s3://…`.

A file appears whole or not at all, also when the machine goes down: local files are written beside their place, brought
to the disk and renamed; object stores put an object in one request.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_ray.core.credentials import redacted
from siked_ray.data.file_system import copy_folder, damaged, is_remote, link_or_copy, open_root, put_in_place
from siked_ray.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset

#: Rows that a reader takes at once where it streams.
_ROW_GROUP_SIZE = 8192


class Storage:
    """A directory `root`; all paths are relative to it. Picklable, so that workers can write for themselves."""

    def __init__(self, root: str) -> None:
        self.root = root if is_remote(root) else os.path.abspath(os.path.expanduser(root.removeprefix("file://")))
        self._opened: tuple[Any, str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Connections and credentials stay where they are: each process opens its own."""
        return {"root": self.root, "_opened": None}

    @property
    def is_local(self) -> bool:
        """True when the files can be opened by path on this machine."""
        return not is_remote(self.root)

    def path(self, name: str) -> str:
        """Full path or URI of a file, as Ray Data and pyarrow take it."""
        return f"{self.root.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Raises DataError when the store does not answer, or does not let us in."""
        from pyarrow.fs import FileType

        filesystem, path = self._locate(name)
        try:
            return filesystem.get_file_info(path).type != FileType.NotFound
        except OSError as error:
            raise DataError(f"{self.root} cannot be read: {redacted(' '.join(str(error).split()))[:300]}") from None

    def files(self, folder: str, suffix: str = "") -> list[str]:
        """Names (relative to the root) of the files directly in a folder, sorted; empty without the folder."""
        from pyarrow.fs import FileSelector, FileType

        filesystem, path = self._locate(folder)
        infos = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
        names = (info.base_name for info in infos if info.type == FileType.File)
        return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))

    def write_bytes(self, name: str, content: bytes) -> None:
        filesystem, path = self._locate(name)
        if self.is_local:
            filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        target = f"{path.rpartition('/')[0]}/.{uuid.uuid4().hex}" if self.is_local else path
        with filesystem.open_output_stream(target) as stream:
            stream.write(content)
        if target != path:
            put_in_place(target, path)

    def read_bytes(self, name: str) -> bytes:
        filesystem, path = self._locate(name)
        try:
            with filesystem.open_input_stream(path) as stream:
                return stream.read()
        except FileNotFoundError:
            raise DataError(f"There is no {self.path(name)}.") from None
        except NotADirectoryError:
            raise DataError(
                f"There is no {self.path(name)}: a part of that path is a file; name a directory."
            ) from None

    def write_text(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def read_text(self, name: str) -> str:
        return self.read_bytes(name).decode()

    def write_json(self, name: str, value: Any) -> None:
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> Any:
        content = self.read_bytes(name)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise damaged(self.path(name), error) from None

    def write_parquet(self, name: str, table: "pa.Table") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd", row_group_size=_ROW_GROUP_SIZE)
        self.write_bytes(name, buffer.getvalue())

    def row_groups(self, name: str, column: str) -> Iterator[list[Any]]:
        """A column's values, row group by row group."""
        with self._parquet_file(name) as file:
            for index in range(file.num_row_groups):
                yield file.read_row_group(index, columns=[column])[column].to_pylist()

    def row_group_sizes(self, name: str) -> list[int]:
        """Rows of each row group of a file."""
        with self._parquet_file(name) as file:
            return [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]

    def parquet_batches(
        self, name: str, columns: list[str], batch_size: int, row_groups: Sequence[int]
    ) -> "Iterator[pa.RecordBatch]":
        """Some row groups of a file, `batch_size` rows at a time; they are never in memory as a whole."""
        with self._parquet_file(name) as file:
            yield from file.iter_batches(batch_size, row_groups=list(row_groups), columns=columns)

    def read_columns(self, name: str, columns: list[str]) -> "pa.Table":
        """Some columns of a file; only their own bytes are read."""
        with self._parquet_file(name) as file:
            return file.read(columns)

    def read_row_group(self, name: str, index: int, columns: list[str]) -> "pa.Table":
        """One row group; only its own bytes are read."""
        with self._parquet_file(name) as file:
            return file.read_row_group(index, columns=columns)

    def read_parquet(self, names: str | Iterable[str], columns: "list[str] | None" = None) -> "pa.Table":
        """The tables of one or several files, one after the other."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = []
        for name in [names] if isinstance(names, str) else names:
            with self._undamaged(name):
                tables.append(pq.read_table(pa.BufferReader(self.read_bytes(name)), columns=columns))
        return pa.concat_tables(tables)

    def write_parquet_batches(self, name: str, batches: "pa.RecordBatchReader") -> int:
        """Write batches as they come, so that the table never has to fit into memory; returns the number of rows."""
        import pyarrow.parquet as pq

        filesystem, path = self._locate(name)
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        target = f"{path.rpartition('/')[0]}/.{uuid.uuid4().hex}" if self.is_local else path
        num_rows = 0
        with pq.ParquetWriter(target, batches.schema, filesystem=filesystem, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch, _ROW_GROUP_SIZE)
                num_rows += batch.num_rows
        if target != path:
            put_in_place(target, path)
        return num_rows

    def dataset(self, names: Iterable[str], schema: "pa.Schema | None") -> "pyarrow.dataset.Dataset":
        """The tables of several files, read as they are asked for; a column that a file does not have is null. Without
        a schema the first file's columns are taken."""
        import pyarrow.dataset

        located = [self._locate(name) for name in names]
        paths = [path for _, path in located]
        return pyarrow.dataset.dataset(paths, schema=schema, filesystem=located[0][0], format="parquet")

    def link(self, origin: "Storage", name: str) -> None:
        """The file of that name in another storage, here too: a hard link where there can be one, else a copy."""
        from pyarrow.fs import copy_files

        filesystem, path = self._locate(name)
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        if self.is_local and origin.is_local:
            link_or_copy(origin.path(name), path)
        else:
            other, source = origin._locate(name)
            copy_files(source, path, source_filesystem=other, destination_filesystem=filesystem)

    def upload_folder(self, source: Path, folder: str) -> None:
        """Copy a local folder; on local storage the folder appears whole, replacing one of that name."""
        from pyarrow.fs import LocalFileSystem, copy_files

        if not self.is_local:
            filesystem, path = self._locate(folder)
            copy_files(str(source), path, source_filesystem=LocalFileSystem(), destination_filesystem=filesystem)
            return
        copy_folder(source, Path(self.path(folder)))

    def listing(self) -> list[tuple[str, int, int]]:
        """(name, bytes, time of the last change in ns) of all files below the root, sorted."""
        from pyarrow.fs import FileSelector, FileType

        filesystem, root = self._locate("")
        infos = filesystem.get_file_info(FileSelector(root.rstrip("/"), allow_not_found=True, recursive=True))
        files = (info for info in infos if info.type == FileType.File)
        return sorted((info.path.removeprefix(root), info.size, info.mtime_ns or 0) for info in files)

    def download(self, target: Path) -> None:
        """Copy everything below the root into a local folder that is not there yet."""
        from pyarrow.fs import LocalFileSystem, copy_files

        filesystem, root = self._locate("")
        target.mkdir(parents=True)
        local = LocalFileSystem()
        copy_files(root.rstrip("/"), str(target), source_filesystem=filesystem, destination_filesystem=local)

    def delete_file(self, name: str) -> None:
        filesystem, path = self._locate(name)
        filesystem.delete_file(path)

    def delete_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it; nothing happens without the folder."""
        from pyarrow.fs import FileType

        filesystem, path = self._locate(folder)
        if filesystem.get_file_info(path).type == FileType.Directory:
            filesystem.delete_dir(path)

    @contextmanager
    def _parquet_file(self, name: str) -> Iterator[Any]:
        import pyarrow.parquet as pq

        filesystem, path = self._locate(name)
        with self._undamaged(name), filesystem.open_input_file(path) as source, pq.ParquetFile(source) as file:
            yield file

    @contextmanager
    def _undamaged(self, name: str) -> Iterator[None]:
        """What pyarrow says of a Parquet file that was cut short or overwritten becomes a `DataError`."""
        import pyarrow as pa

        try:
            yield
        except pa.ArrowInvalid as error:
            raise damaged(self.path(name), error) from None

    def _locate(self, name: str) -> tuple[Any, str]:
        if self._opened is None:
            self._opened = open_root(self.root)
        filesystem, root = self._opened
        return filesystem, f"{root}/{name}"
