"""One model out of several: θ = θ₀ + Σ λ_k (θ_k − θ₀) in float32, written in the base's own types.

Two passes over the weights, a block of rows at a time: the first one finds the task vectors' lengths and inner products
in float64, the second one writes. Files beside the weights are the base's.
"""

import math
import shutil
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from siked_ray.core.merge_rule import MergeRule, loss_bound
from siked_ray.errors import ModelError
from siked_ray.training.compute.adapter_files import AdapterFiles, is_adapter
from siked_ray.training.compute.tensor_files import TensorFiles, write_like

#: Weights of a task vector that did not move, above which its length says little: 16 bits lose small updates.
_MAX_UNMOVED = 0.3


def merge_weights(base: Path, parts: Mapping[str, Path], rule: MergeRule, output: Path) -> dict[str, Any]:
    """Write a model directory `output`, which is not there yet; all others are model directories of one architecture,
    or the parts LoRA adapters of the base.

    Returns {"tensors", "parameters", "rule", "weights": λ, "norms": ‖τ‖, "cosines": of task vectors, "unmoved": share
    of weights that are the base's, "loss_bound": J(λ), "warnings"}. Raises ModelError where models do not fit together;
    then nothing is left behind.
    """
    if is_adapter(base):
        raise ModelError(f"{base} is an adapter; name the base itself, and adapters of it among the models.")
    start = TensorFiles("the base", base)
    models = {name: _part(f"the model {name!r}", parts[name], start) for name in sorted(parts)}
    adapters = {name: one for name, one in models.items() if isinstance(one, AdapterFiles)}
    found = _adapters(start, adapters) if len(adapters) == len(models) else _task_vectors(start, models)
    squares = {name: found["inner"][name, name] for name in parts}
    lambdas = rule.lambdas(squares)
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for shard in start.shards:
            write_like(shard, partial / shard.name, lambda name, rows: _merged(start, models, lambdas, name, rows))
        for file in base.iterdir():
            if file.is_file() and file not in start.shards:
                shutil.copy2(file, partial / file.name)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {
        "tensors": len(start.names),
        "parameters": found["parameters"],
        "rule": rule.rule.value,
        "weights": lambdas,
        "norms": {name: square**0.5 for name, square in squares.items()},
        "cosines": {f"{a} {b}": _cosine(found["inner"], a, b) for a, b in combinations(sorted(parts), 2)},
        "unmoved": found["unmoved"],
        "loss_bound": loss_bound(lambdas, squares),
        "warnings": _warnings(found["unmoved"], start, adapters),
    }


class _Model:
    """A whole model as a part."""

    def __init__(self, files: TensorFiles, start: TensorFiles) -> None:
        files.check_like(start)
        self._files = files

    def vector(self, name: str, rows: slice, before: Any) -> Any:
        """Some rows of its task vector in float32; `before` are the base's."""
        return self._files.read(name, rows).float() - before


_Part = _Model | AdapterFiles


def _part(what: str, folder: Path, start: TensorFiles) -> _Part:
    return AdapterFiles(what, folder, start) if is_adapter(folder) else _Model(TensorFiles(what, folder), start)


def _adapters(start: TensorFiles, parts: Mapping[str, AdapterFiles]) -> dict[str, Any]:
    """As `_task_vectors`, from the adapters' factors alone."""
    sizes = {name: math.prod(start.shape(name) or ()) for name in start.names}
    moved = {part: sum(sizes[name] for name in one.names) for part, one in parts.items()}
    total = sum(sizes.values())
    return {
        "inner": {(a, b): parts[a].inner(parts[b]) for a in parts for b in parts if a <= b},
        "unmoved": {part: 1 - number / max(total, 1) for part, number in moved.items()},
        "parameters": total,
    }


def _task_vectors(start: TensorFiles, models: Mapping[str, _Part]) -> dict[str, Any]:
    """Inner products of all pairs of task vectors, and how many weights each leaves as they are."""
    inner = {(a, b): 0.0 for a in models for b in models if a <= b}
    unmoved, num_parameters = dict.fromkeys(models, 0), 0
    for name in start.names:
        for rows in start.blocks(name):
            before = start.read(name, rows).float()
            still = before.new_zeros(()).expand(before.shape)
            found = {part: model.vector(name, rows, before) for part, model in models.items()}
            vectors = {part: still if vector is None else vector for part, vector in found.items()}
            num_parameters += before.numel()
            for part, vector in vectors.items():
                unmoved[part] += int((vector == 0).sum())
            for a, b in inner:
                inner[a, b] += float((vectors[a].double() * vectors[b].double()).sum())
    shares = {part: count / max(num_parameters, 1) for part, count in unmoved.items()}
    return {"inner": inner, "unmoved": shares, "parameters": num_parameters}


def _merged(
    start: TensorFiles, models: Mapping[str, _Part], lambdas: Mapping[str, float], name: str, rows: slice
) -> Any:
    base = start.read(name, rows)
    before = base.float()
    result = before
    for part, model in models.items():
        vector = model.vector(name, rows, before) if lambdas[part] else None
        if vector is not None:
            result = result + lambdas[part] * vector
    return result.to(base.dtype)


def _cosine(inner: Mapping[tuple[str, str], float], a: str, b: str) -> float | None:
    lengths = (inner[a, a] * inner[b, b]) ** 0.5
    return inner[a, b] / lengths if lengths else None


def _warnings(unmoved: Mapping[str, float], start: TensorFiles, adapters: Collection[str]) -> Sequence[str]:
    """An adapter's length is exact, whatever the base's type."""
    unmoved = {name: share for name, share in unmoved.items() if name not in adapters}
    same = [f"{name} is the base itself" for name, share in unmoved.items() if share == 1]
    if not start.in_16_bits:
        return same
    return same + [
        f"{share:.0%} of the weights of {name} are the base's: 16 bits lose small updates, so the length of its task "
        "vector says little; merge models in float32"
        for name, share in unmoved.items()
        if _MAX_UNMOVED < share < 1
    ]
