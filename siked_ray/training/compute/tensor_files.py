"""The weights of a model directory, in *.safetensors files, read and written a block of rows at a time."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from siked_ray.errors import ModelError

_SUFFIX = ".safetensors"
_TYPES = ("F32", "F16", "BF16")
_BYTES_PER_BLOCK = 64 * 2**20
_LENGTH = struct.Struct("<Q")


class TensorFiles:
    """`what` names the model in messages. Raises ModelError for weights that cannot be calculated with."""

    def __init__(self, what: str, folder: Path) -> None:
        from safetensors import safe_open

        self.what = what
        self.shards = sorted(folder.glob(f"*{_SUFFIX}"))
        if (folder / "adapter_config.json").exists():
            raise ModelError(f"{folder} is an adapter and no whole model; merge it into its base first (PEFT's merge).")
        if not self.shards:
            raise ModelError(f"{folder} has no weights in *{_SUFFIX}; save the model as safetensors.")
        self._shapes: dict[str, list[int]] = {}
        self._types: dict[str, str] = {}
        self._files: dict[str, Any] = {}
        for shard in self.shards:
            opened = safe_open(shard, framework="pt").__enter__()
            for name, described in header(shard).items():
                self._shapes[name], self._types[name] = described["shape"], described["dtype"]
                self._files[name] = opened
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
        opened = self._files[name]
        return opened.get_slice(name)[rows] if self._shapes[name] else opened.get_tensor(name)


def blocks_of(shape: list[int]) -> Iterator[slice]:
    """Slices of the first axis."""
    num_rows = shape[0] if shape else 1
    size = 4
    for axis in shape[1:]:
        size *= axis
    at_once = max(_BYTES_PER_BLOCK // max(size, 1), 1)
    for first in range(0, num_rows, at_once):
        yield slice(first, min(first + at_once, num_rows))


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
