"""The files that `siked verify` reads and writes: what they are packed with, and what can go wrong with them."""

import bz2
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from siked_ray.errors import DataError

#: As an output: standard output.
STDOUT = "-"

ReadLine = Callable[[int], bytes]
Write = Callable[[bytes], object]


def _zstandard(file: IO[bytes]) -> Any:
    """pyarrow unpacks it; its import takes a moment, for which other files need not wait."""
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))


#: By how they begin.
_UNPACK: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstandard,
}
_UTF_16 = "UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"
_REFUSED = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"{\x00": _UTF_16,
    b"\x00{": _UTF_16,
    b"PAR1": "a Parquet file, but JSON lines are needed",
    b"PK\x03\x04": "a ZIP archive; unpack it first",
}
_MAGIC_BYTES = 6
_FAILURES = (OSError, EOFError, zlib.error, lzma.LZMAError)


@contextmanager
def opened_rows(path: Path) -> Iterator[tuple[ReadLine, int | None]]:
    """`readline` of a file, unpacked, and how many bytes it will read (None: packed, so nobody knows).

    Raises `DataError`, in one sentence, for what cannot be opened, is no text in UTF-8, or ends in the middle.
    """
    try:
        file = path.open("rb")
        magic = file.read(_MAGIC_BYTES)
    except OSError as error:
        raise _sentence(f"cannot open {path}", error) from None
    with file:
        for start, reason in _REFUSED.items():
            if magic.startswith(start):
                raise DataError(f"{path} is {reason}.")
        file.seek(0)
        unpack = next((unpack for start, unpack in _UNPACK.items() if magic.startswith(start)), None)
        source = file if unpack is None else unpack(file)

        def readline(max_bytes: int) -> bytes:
            try:
                return source.readline(max_bytes)
            except _FAILURES as error:
                raise _sentence(f"cannot read {path} to its end", error) from None

        yield readline, path.stat().st_size if unpack is None else None


@contextmanager
def opened_output(out_path: str | Path, in_path: Path) -> Iterator[Write]:
    """A function that writes to a file, or to standard output where it is called `-`.

    Raises `DataError`, in one sentence, where the file cannot be opened, and where the disk is full.
    """
    if str(out_path) == STDOUT:
        with standard_output():
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
        return
    target = _opened_beside(Path(out_path), in_path)

    def write(row: bytes) -> None:
        try:
            target.write(row)
        except OSError as error:
            raise _sentence(f"cannot write {out_path}", error) from None

    try:
        yield write
        try:
            target.flush()
        except OSError as error:
            raise _sentence(f"cannot write {out_path}", error) from None
    finally:
        with suppress(OSError):  # its flush has said it
            target.close()


@contextmanager
def standard_output() -> Iterator[None]:
    """What is written inside reaches standard output, or a `DataError` says in one sentence why it cannot."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):  # else Python tries once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _sentence("cannot write standard output", error) from None


def _opened_beside(out_path: Path, in_path: Path) -> IO[bytes]:
    if out_path.exists() and out_path.samefile(in_path):
        raise DataError(f"{out_path} is also the input; name another output")
    try:
        return out_path.open("wb")
    except OSError as error:
        raise _sentence(f"cannot open {out_path}", error) from None


def _sentence(what: str, error: BaseException) -> DataError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{what}: {' '.join(reason.split()).rstrip('.')}")
