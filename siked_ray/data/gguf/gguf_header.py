"""The header of a GGUF file: its values and where its tensors lie, without any weights.

The format is described in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The `gguf` package reads it too,
in five seconds for 50,000 tokens; a file is to be refused before anybody has waited.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from siked_ray.errors import ModelError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
#: How scalars are packed, by the number of their type.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MAX_DIMENSIONS = 4
_ALIGNMENT = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """`shape` is in the file's order, the fastest first; `offset` counts from the start of all tensors' data."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """`values` by their full keys (`llama.block_count`); the tensors' data are at `data_start`."""

    values: Mapping[str, Any]
    tensors: Sequence[StoredTensor]
    data_start: int
    file_size: int

    @property
    def architecture(self) -> str:
        """What the file calls its architecture; empty where it does not say."""
        return str(self.values.get("general.architecture", ""))


def read_header(path: Path) -> GgufHeader:
    """The header of a file; ModelError for one that is no GGUF file, damaged, or cannot be read."""
    try:
        with path.open("rb") as file:
            return _header(_Parts(file, path.stat().st_size), path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (_Damaged, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is a damaged GGUF file ({error}); fetch it again.") from None


class _Damaged(Exception):
    """The bytes are not what the format says."""


class _Parts:
    """What comes next in the file, never more than the file has."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    @property
    def position(self) -> int:
        return self._file.tell()

    def take(self, num_bytes: int) -> bytes:
        """The next bytes; raises _Damaged where the file ends before."""
        if num_bytes > self.size - self._file.tell():
            raise _Damaged("it ends too early")
        return self._file.read(num_bytes)

    def number(self, packed: str) -> Any:
        """The next number, little-endian, packed as `struct` calls it."""
        return struct.unpack(f"<{packed}", self.take(struct.calcsize(f"<{packed}")))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _ARRAY:
            return self._array()
        return self._reader(kind)()

    def _array(self) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        if kind in _SCALARS:
            packed = f"<{count}{_SCALARS[kind]}"
            return list(struct.unpack(packed, self.take(count * struct.calcsize(_SCALARS[kind]))))
        read = self._reader(kind)
        return [read() for _ in range(count)]

    def _reader(self, kind: int) -> Callable[[], Any]:
        if kind == _STRING:
            return self.text
        if kind not in _SCALARS:
            raise _Damaged(f"it holds a value of an unknown kind, {kind}")
        return lambda: self.number(_SCALARS[kind])


def _header(parts: _Parts, path: Path) -> GgufHeader:
    if parts.size < len(_MAGIC) or parts.take(len(_MAGIC)) != _MAGIC:
        raise ModelError(f"{path} is no GGUF file: it does not begin with GGUF.")
    version = parts.number("I")
    if version not in _VERSIONS:
        raise ModelError(f"{path} is a GGUF file of version {version}; versions 2 and 3, little-endian, are read.")
    num_tensors, num_values = parts.number("Q"), parts.number("Q")
    values = {}
    for _ in range(num_values):
        key = parts.text()
        values[key] = parts.value(parts.number("I"))
    tensors = [_tensor(parts) for _ in range(num_tensors)]
    alignment = values.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise _Damaged(f"it aligns its tensors to {alignment}")
    return GgufHeader(
        values=values,
        tensors=tensors,
        data_start=-(-parts.position // alignment) * alignment,
        file_size=parts.size,
    )


def _tensor(parts: _Parts) -> StoredTensor:
    name, num_dimensions = parts.text(), parts.number("I")
    if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
        raise _Damaged(f"the tensor {name} has {num_dimensions} dimensions")
    shape = tuple(parts.number("Q") for _ in range(num_dimensions))
    return StoredTensor(name=name, shape=shape, type_number=parts.number("I"), offset=parts.number("Q"))
