"""Models put together from their weights, out of sharded files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from siked_ray.errors import ModelError
from siked_ray.training.compute.merging import merge_weights

SHAPES = {"embed": (6, 4), "layer.weight": (4, 4), "layer.bias": (4,)}


def model(folder: Path, seed: int, *, num_shards: int = 1, dtype: torch.dtype = torch.float32, **changes) -> Path:
    generator = torch.Generator().manual_seed(seed)
    shapes = SHAPES | changes
    tensors = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items() if shape}
    folder.mkdir()
    for shard in range(num_shards):
        names = list(tensors)[shard::num_shards]
        save_file({name: tensors[name] for name in names}, folder / f"model-{shard}.safetensors")
    (folder / "config.json").write_text(f'{{"seed": {seed}}}')
    return folder


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for shard in folder.glob("*.safetensors") for name, value in load_file(shard).items()}


@pytest.mark.parametrize("num_shards", [1, 2])
def test_one_part_with_weight_one_is_that_part(tmp_path: Path, num_shards: int):
    base, part = model(tmp_path / "base", 0, num_shards=num_shards), model(tmp_path / "part", 1)
    figures = merge_weights(base, {"cot": part}, {"cot": 1.0}, tmp_path / "out")
    assert figures == {"tensors": 3, "parameters": 24 + 16 + 4}
    merged, expected = tensors_of(tmp_path / "out"), tensors_of(part)
    assert merged.keys() == expected.keys()
    assert all(torch.allclose(merged[name], expected[name], atol=1e-6) for name in expected)
    assert (tmp_path / "out" / "config.json").read_text() == '{"seed": 0}'


def test_the_order_of_parts_does_not_matter_and_types_stay(tmp_path: Path):
    base = model(tmp_path / "base", 0, dtype=torch.bfloat16)
    parts = {name: model(tmp_path / name, seed, dtype=torch.bfloat16) for seed, name in enumerate("ab", start=1)}
    weights = {"a": 0.36, "b": 0.64}
    merge_weights(base, parts, weights, tmp_path / "one")
    merge_weights(base, dict(reversed(parts.items())), weights, tmp_path / "other")
    one, other, start = tensors_of(tmp_path / "one"), tensors_of(tmp_path / "other"), tensors_of(base)
    assert all(torch.equal(one[name], other[name]) and one[name].dtype is torch.bfloat16 for name in one)
    expected = start["embed"].float()
    for name, folder in parts.items():
        expected = expected + weights[name] * (tensors_of(folder)["embed"].float() - start["embed"].float())
    assert torch.equal(one["embed"], expected.bfloat16())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embed": (7, 4)}, r"embed has shape \[7, 4\] in the model 'cot'"),
        ({"layer.bias": None}, "no tensor layer.bias"),
    ],
)
def test_models_that_do_not_fit_are_refused_by_name_and_nothing_is_left(tmp_path: Path, changes: dict, words: str):
    base, part = model(tmp_path / "base", 0), model(tmp_path / "part", 1, **changes)
    with pytest.raises(ModelError, match=words):
        merge_weights(base, {"cot": part}, {"cot": 1.0}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
