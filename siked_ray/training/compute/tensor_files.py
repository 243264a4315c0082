"""The weights of a model directory, in *.safetensors files, read and written a block of rows at a time.

Read and not mapped: pages of mapped files count as this process's memory, and models may be larger than that.
"""

import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from siked_ray.errors import ModelError

_SUFFIX = ".safetensors"
#: Types that can be calculated with, as torch calls them.
_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BYTES_PER_BLOCK = 64 * 2**20
_LENGTH = struct.Struct("<Q")


class TensorFiles:
    """`what` names the model in messages. Raises ModelError for weights that cannot be calculated with."""

    def __init__(self, what: str, folder: Path) -> None:
        self.what = what
        self.shards = sorted(folder.glob(f"*{_SUFFIX}"))
        if not self.shards:
            raise ModelError(f"{folder} has no weights in *{_SUFFIX}; save the model as safetensors.")
        self._shapes: dict[str, list[int]] = {}
        self._types: dict[str, str] = {}
        self._places: dict[str, tuple[Path, int]] = {}
        for shard in self.shards:
            start = data_start(shard)
            for name, described in header(shard).items():
                self._shapes[name], self._types[name] = described["shape"], described["dtype"]
                self._places[name] = (shard, start + described["data_offsets"][0])
        odd = next((name for name, kind in self._types.items() if kind not in _TYPES), None)
        if odd:
            raise ModelError(
                f"{odd} of {what} is of type {self._types[odd]}; merge models in float32, float16 or bfloat16."
            )

    @property
    def names(self) -> list[str]:
        """Of all tensors."""
        return list(self._shapes)

    @property
    def in_16_bits(self) -> bool:
        """Whether some weights have 16 bits."""
        return any(kind != "F32" for kind in self._types.values())

    def shape(self, name: str) -> list[int] | None:
        """Of a tensor; None where there is no such one."""
        return self._shapes.get(name)

    def check_like(self, base: "TensorFiles") -> None:
        """Raises ModelError unless it has the base's tensors, in their shapes."""
        for name, shape in base._shapes.items():
            if name not in self._shapes:
                raise ModelError(f"{self.what} has no tensor {name}; merge models of one architecture.")
            if self._shapes[name] != shape:
                raise ModelError(
                    f"{name} has shape {self._shapes[name]} in {self.what} and {shape} in the base; merge models of "
                    "one architecture."
                )
        if more := next((name for name in self._shapes if name not in base._shapes), None):
            raise ModelError(
                f"{self.what} has a tensor {more} that the base has not; merge models of one architecture, with tied "
                "embeddings in all of them or in none."
            )

    def blocks(self, name: str) -> Iterator[slice]:
        """Slices of the first axis, of some 64 MB each in float32."""
        return blocks_of(self._shapes[name])

    def read(self, name: str, rows: slice) -> Any:
        """Some rows of a tensor, in its own type; all of one without axes."""
        import torch

        dtype, shape = getattr(torch, _TYPES[self._types[name]]), self._shapes[name]
        row_bytes = dtype.itemsize * math.prod(shape[1:])
        shard, place = self._places[name]
        with shard.open("rb") as file:
            file.seek(place + rows.start * row_bytes)
            content = bytearray(file.read((rows.stop - rows.start) * row_bytes))
        values = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return values.reshape([rows.stop - rows.start, *shape[1:]] if shape else [])


def blocks_of(shape: list[int]) -> Iterator[slice]:
    """Slices of the first axis."""
    num_rows = shape[0] if shape else 1
    at_once = max(_BYTES_PER_BLOCK // max(4 * math.prod(shape[1:]), 1), 1)
    for first in range(0, num_rows, at_once):
        yield slice(first, min(first + at_once, num_rows))


def data_start(shard: Path) -> int:
    """Where the tensors begin in a file."""
    with shard.open("rb") as file:
        return _LENGTH.size + int(_LENGTH.unpack(file.read(_LENGTH.size))[0])


def header(shard: Path) -> dict[str, Any]:
    """{name: {"dtype", "shape", "data_offsets"}} in the order in which the tensors lie in a file."""
    with shard.open("rb") as file:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        described = json.loads(file.read(length))
    described.pop("__metadata__", None)
    return dict(sorted(described.items(), key=lambda item: item[1]["data_offsets"][0]))


def write_like(shard: Path, output: Path, make: Callable[[str, slice], Any]) -> None:
    """Write a file with the names, types and shapes of another; `make(name, rows)` gives the rows of a tensor."""
    import torch

    with shard.open("rb") as file, output.open("wb") as out:
        length = file.read(_LENGTH.size)
        out.write(length)
        out.write(file.read(_LENGTH.unpack(length)[0]))
        for name, described in header(shard).items():
            for rows in blocks_of(described["shape"]):
                out.write(make(name, rows).contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
