"""One model out of several, shard by shard: θ = θ₀ + Σ w_k (θ_k − θ₀) in float32, written in the base's own types."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siked_ray.errors import ModelError

_SUFFIX = ".safetensors"


def merge_weights(base: Path, parts: Mapping[str, Path], weights: Mapping[str, float], output: Path) -> dict[str, Any]:
    """Write a model directory `output`, which is not there yet; all others are model directories of one architecture.

    Files beside the weights are the base's. Returns {"tensors", "parameters"}. Raises ModelError where models do not
    fit together; then nothing is left behind.
    """
    from safetensors.torch import save_file

    shards = sorted(base.glob(f"*{_SUFFIX}"))
    if not shards:
        raise ModelError(f"{base} has no weights in *{_SUFFIX}, so it cannot be merged; save the model as safetensors.")
    tensors = {name: _Tensors(name, folder) for name, folder in parts.items()}
    output.mkdir(parents=True)
    try:
        num_tensors = num_parameters = 0
        for shard in shards:
            merged = {name: _merged(name, value, tensors, weights) for name, value in _read(shard)}
            save_file(merged, output / shard.name, metadata={"format": "pt"})
            num_tensors += len(merged)
            num_parameters += sum(value.numel() for value in merged.values())
        for file in base.iterdir():
            if file.is_file() and file.suffix != _SUFFIX:
                shutil.copy2(file, output / file.name)
    except BaseException:
        shutil.rmtree(output)
        raise
    return {"tensors": num_tensors, "parameters": num_parameters}


class _Tensors:
    """A part's tensors by name, read one at a time; it may be cut into other shards than the base."""

    def __init__(self, part: str, folder: Path) -> None:
        from safetensors import safe_open

        self._part = part
        self._files: dict[str, Path] = {}
        for shard in folder.glob(f"*{_SUFFIX}"):
            with safe_open(shard, framework="pt") as opened:
                self._files |= dict.fromkeys(opened.keys(), shard)

    def like(self, name: str, base: Any) -> Any:
        """The tensor of this name; ModelError without it, or with another shape."""
        from safetensors import safe_open

        if name not in self._files:
            raise ModelError(f"The model {self._part!r} has no tensor {name}; merge models of one architecture.")
        with safe_open(self._files[name], framework="pt") as opened:
            found = opened.get_tensor(name)
        if found.shape != base.shape:
            raise ModelError(
                f"{name} has shape {list(found.shape)} in the model {self._part!r} and {list(base.shape)} in the base; "
                "merge models of one architecture."
            )
        return found


def _read(shard: Path) -> Any:
    from safetensors import safe_open

    with safe_open(shard, framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118  (a safetensors file is no mapping)
            yield name, opened.get_tensor(name)


def _merged(name: str, base: Any, parts: Mapping[str, _Tensors], weights: Mapping[str, float]) -> Any:
    result = start = base.float()
    for part in sorted(parts):
        result = result + weights[part] * (parts[part].like(name, base).float() - start)
    return result.to(base.dtype)
