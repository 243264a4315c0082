"""Files by local path or URL (`s3://…`, `gs://…`, `memory://…`), through `pyarrow.fs` and fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from siked_ray.errors import DataError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True, kw_only=True)
class Location:
    """A path within a file system; `shown` is what the user wrote, for messages."""

    filesystem: FileSystem
    path: str
    shown: str

    def exists(self) -> bool:
        """Whether there is a file or a directory. Raises `DataError` where the file system cannot be asked."""
        return self._exists_as("File", self.path) or self.is_directory()

    def is_directory(self) -> bool:
        return self._exists_as("Directory", self.path)

    def has_file(self, name: str) -> bool:
        """Whether a file of this name lies directly in the directory."""
        return self._exists_as("File", f"{self.path.rstrip('/')}/{name}")

    def _exists_as(self, kind: str, path: str) -> bool:
        with self._readable():
            return self.filesystem.get_file_info(path).type.name == kind

    def first_bytes(self, num_bytes: int) -> bytes:
        """The start of the file, as stored."""
        with self._readable(), self.filesystem.open_input_file(self.path) as file:
            return file.read(num_bytes)

    def read_bytes(self) -> bytes:
        """The whole file, decompressed by its suffix (`.gz`, `.bz2`, `.zst`, …)."""
        with self._readable(), self.filesystem.open_input_stream(self.path) as stream:
            return stream.read()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each file system has its own kinds of errors, those of fsspec more than one
            reason = str(error).rstrip(".")
            raise DataError(f"Cannot read {self.shown}: {reason}. Check the address and the permissions.") from error

    def files(self, *, suffix: str) -> list[Location]:
        """Files under the directory, at any depth, sorted by path."""
        from pyarrow.fs import FileSelector

        with self._readable():
            found = self.filesystem.get_file_info(FileSelector(self.path, recursive=True))
        paths = sorted(info.path for info in found if info.is_file and info.path.endswith(suffix))
        return [Location(filesystem=self.filesystem, path=path, shown=path) for path in paths]

    @property
    def stem(self) -> str:
        """Name without directories and suffixes: what a file without a better name is called."""
        return PurePosixPath(self.path).name.split(".")[0] or PurePosixPath(self.path).name


def locate(path_or_url: str) -> Location:
    """The file system and path of a local path or URL. Raises `DataError` where no file system serves the URL."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" not in path_or_url:
        return Location(filesystem=LocalFileSystem(), path=_absolute(path_or_url), shown=path_or_url)
    try:
        filesystem, path = FileSystem.from_uri(path_or_url)
    except (ValueError, TypeError):
        filesystem, path = _through_fsspec(path_or_url)
    except Exception as error:  # the network's errors: pyarrow's own, or those of a Python client
        raise DataError(f"Cannot reach {path_or_url}: {error}. Check the address and the permissions.") from error
    return Location(filesystem=filesystem, path=path, shown=path_or_url)


def _absolute(path: str) -> str:
    return Path(path).expanduser().absolute().as_posix()


def _through_fsspec(url: str) -> tuple[FileSystem, str]:
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        filesystem, path = url_to_fs(url)
    except Exception as error:  # no such scheme, its package is missing, or the network
        raise DataError(f"No file system serves {url}: {error}.") from error
    return PyFileSystem(FSSpecHandler(filesystem)), path
