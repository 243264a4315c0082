"""Models put together from their weights, out of sharded files."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from siked_ray.core.merge_rule import MergeRule, RuleName, loss_bound
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


def given(**weights: float) -> MergeRule:
    return MergeRule(weights=weights)


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for shard in folder.glob("*.safetensors") for name, value in load_file(shard).items()}


@pytest.mark.parametrize("num_shards", [1, 2])
def test_one_part_with_weight_one_is_that_part(tmp_path: Path, num_shards: int):
    base, part = model(tmp_path / "base", 0, num_shards=num_shards), model(tmp_path / "part", 1)
    figures = merge_weights(base, {"cot": part}, given(cot=1.0), tmp_path / "out")
    assert (figures["tensors"], figures["parameters"], figures["weights"]) == (3, 24 + 16 + 4, {"cot": 1.0})
    merged, expected = tensors_of(tmp_path / "out"), tensors_of(part)
    assert merged.keys() == expected.keys()
    assert all(torch.allclose(merged[name], expected[name], atol=1e-6) for name in expected)
    assert (tmp_path / "out" / "config.json").read_text() == '{"seed": 0}'


def test_the_order_of_parts_does_not_matter_and_types_stay(tmp_path: Path):
    base = model(tmp_path / "base", 0, dtype=torch.bfloat16)
    parts = {name: model(tmp_path / name, seed, dtype=torch.bfloat16) for seed, name in enumerate("ab", start=1)}
    weights = {"a": 0.36, "b": 0.64}
    merge_weights(base, parts, given(**weights), tmp_path / "one")
    merge_weights(base, dict(reversed(parts.items())), given(**weights), tmp_path / "other")
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
        merge_weights(base, {"cot": part}, given(cot=1.0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def vector(folder: Path, *values: float, dtype: torch.dtype = torch.float32) -> Path:
    folder.mkdir()
    save_file({"w": torch.tensor(values, dtype=dtype)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("base", "parts", "lambdas", "merged"),
    [
        ((0, 0), {"a": (3, 0), "b": (0, 4)}, {"a": 0.36, "b": 0.64}, (1.08, 2.56)),
        (
            (1, 1, 1),
            {"a": (2, 3, 3), "b": (1, 1, 7), "c": (3, 1, 1)},
            {"a": 9 / 49, "b": 36 / 49, "c": 4 / 49},
            (1.34694, 1.36735, 5.77551),
        ),
        ((1, 2), {"a": (1, 2), "b": (1, 2)}, {"a": 0.0, "b": 0.0}, (1, 2)),
        ((1, 2), {"a": (1, 2), "b": (3, 2)}, {"a": 0.0, "b": 1.0}, (3, 2)),
        ((0, 0), {"a": (1, 0), "b": (0, 1)}, {"a": 0.5, "b": 0.5}, (0.5, 0.5)),
    ],
)
def test_metagpt_takes_each_task_vector_by_its_share_of_squared_lengths(
    tmp_path: Path, base: tuple, parts: dict, lambdas: dict, merged: tuple
):
    """SYSTEMS.md 2's golden values; the base itself counts nothing, and equally long ones are averaged."""
    folders = {name: vector(tmp_path / name, *values) for name, values in parts.items()}
    start = vector(tmp_path / "base", *base)
    figures = merge_weights(start, folders, MergeRule(rule=RuleName.METAGPT), tmp_path / "out")
    assert figures["weights"] == pytest.approx(lambdas)
    assert tensors_of(tmp_path / "out")["w"].tolist() == pytest.approx(merged, abs=1e-5)


def test_lengths_cosines_and_the_bound(tmp_path: Path):
    start = vector(tmp_path / "base", 1, 1, 1)
    parts = {"a": (2, 3, 3), "b": (1, 1, 7), "c": (3, 1, 1)}
    folders = {name: vector(tmp_path / name, *values) for name, values in parts.items()}
    figures = merge_weights(start, folders, MergeRule(rule=RuleName.METAGPT), tmp_path / "out")
    assert figures["norms"] == pytest.approx({"a": 3, "b": 6, "c": 2})
    assert figures["cosines"] == pytest.approx({"a b": 2 / 3, "a c": 1 / 3, "b c": 0.0})
    assert figures["loss_bound"] == pytest.approx(424.653, abs=1e-3)
    squares = {"a": 9.0, "b": 36.0, "c": 4.0}
    average = merge_weights(start, folders, MergeRule(rule=RuleName.AVERAGE), tmp_path / "average")
    assert average["loss_bound"] == pytest.approx(731.111, abs=1e-3)
    assert loss_bound(dict.fromkeys(squares, 0.3), squares) == pytest.approx(773.29, abs=1e-2)
    best = MergeRule(rule=RuleName.METAGPT).lambdas(squares)
    random = torch.Generator().manual_seed(0)
    for _ in range(2000):
        near = {name: value + 0.05 * torch.randn(1, generator=random).item() for name, value in best.items()}
        assert loss_bound(near, squares) >= figures["loss_bound"] - 1e-9


def test_a_model_in_blocks_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    base, part = model(tmp_path / "base", 0, num_shards=2), model(tmp_path / "part", 1)
    whole = merge_weights(base, {"x": part}, given(x=0.7), tmp_path / "whole")
    monkeypatch.setattr("siked_ray.training.compute.tensor_files._BYTES_PER_BLOCK", 33)
    in_blocks = merge_weights(base, {"x": part}, given(x=0.7), tmp_path / "blocks")
    assert in_blocks["norms"] == pytest.approx(whole["norms"])
    for shard in ("model-0.safetensors", "model-1.safetensors"):
        assert (tmp_path / "blocks" / shard).read_bytes() == (tmp_path / "whole" / shard).read_bytes()


def test_what_16_bits_have_lost_is_said(tmp_path: Path):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4000, generator=generator) * 0.02
    moved = start + torch.randn(4000, generator=generator) * 1e-5
    for name, values in (("base", start), ("part", moved)):
        vector(tmp_path / name, *values.tolist(), dtype=torch.bfloat16)
    figures = merge_weights(tmp_path / "base", {"x": tmp_path / "part"}, given(x=1.0), tmp_path / "out")
    assert figures["unmoved"]["x"] > 0.7 and "16 bits lose small updates" in figures["warnings"][0]


@pytest.mark.parametrize("kind", ["more", "type", "adapter", "nothing"])
def test_what_cannot_be_calculated_with_is_refused(tmp_path: Path, kind: str):
    base, part = vector(tmp_path / "base", 1, 2), vector(tmp_path / "part", 1, 3)
    words = {
        "more": "a tensor lm_head",
        "type": "is of type",
        "adapter": "is not a plain LoRA adapter",
        "nothing": "has no weights",
    }
    if kind == "more":
        save_file({"lm_head": torch.ones(2)}, part / "more.safetensors")
    elif kind == "type":
        save_file({"w": torch.ones(2).to(torch.float8_e4m3fn)}, part / "model.safetensors")
    elif kind == "adapter":
        (part / "adapter_config.json").write_text("{}")
    else:
        (part / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=words[kind]):
        merge_weights(base, {"x": part}, given(x=1.0), tmp_path / "out")
    assert {one.name for one in tmp_path.iterdir()} == {"base", "part"}


def adapter(folder: Path, alpha: float, factors: dict[str, tuple[list, list]], **config) -> Path:
    """As PEFT saves one; (B, A) by module."""
    folder.mkdir()
    described = {"peft_type": "LORA", "lora_alpha": alpha, "bias": "none"} | config
    (folder / "adapter_config.json").write_text(json.dumps(described))
    tensors = {}
    for module, (up, down) in factors.items():
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.tensor(up, dtype=torch.float32)
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.tensor(down, dtype=torch.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture
def square(tmp_path: Path) -> Path:
    folder = _folder(tmp_path / "base")
    save_file({"a.weight": torch.zeros(2, 3), "b.weight": torch.ones(2, 3)}, folder / "model.safetensors")
    return folder


def test_the_length_of_an_adapter_comes_from_its_factors(tmp_path: Path, square: Path):
    """SYSTEMS.md 2's golden value: B = (1, 2)ᵀ, A = (3, 0, 4), α/r = 2 → ‖ΔW‖² = 500."""
    part = adapter(tmp_path / "part", 2, {"a": ([[1], [2]], [[3, 0, 4]])})
    figures = merge_weights(square, {"x": part}, given(x=0.5), tmp_path / "out")
    assert figures["norms"]["x"] ** 2 == pytest.approx(500)
    assert (figures["unmoved"], figures["parameters"], figures["warnings"]) == ({"x": 0.5}, 12, [])
    merged = tensors_of(tmp_path / "out")
    assert merged["a.weight"].tolist() == [[3, 0, 4], [6, 0, 8]] and torch.equal(merged["b.weight"], torch.ones(2, 3))


@pytest.mark.parametrize("config", [{}, {"use_rslora": True}, {"alpha_pattern": {"b": 8}}])
def test_adapters_merge_as_the_models_that_they_make(tmp_path: Path, config: dict):
    """Against PEFT's own merge, by λ, lengths and weights; and beside a whole model."""
    from peft import LoraConfig, get_peft_model

    def small() -> torch.nn.Module:
        return torch.nn.ModuleDict({"a": torch.nn.Linear(5, 4, bias=False), "b": torch.nn.Linear(4, 6, bias=False)})

    start, folders, wholes = small(), {}, {}
    save_file(start.state_dict(), _folder(tmp_path / "base") / "model.safetensors")
    for seed, name in enumerate("xyz", start=1):
        model = small()
        model.load_state_dict(start.state_dict())
        lora = LoraConfig(r=2, lora_alpha=seed, target_modules=["a", "b"], init_lora_weights=False, **config)
        torch.manual_seed(seed)
        tuned = get_peft_model(model, lora)
        folders[name] = tmp_path / name
        tuned.save_pretrained(folders[name])
        wholes[name] = _folder(tmp_path / f"whole_{name}")
        save_file(tuned.merge_and_unload().state_dict(), wholes[name] / "model.safetensors")
    rule = MergeRule(rule=RuleName.METAGPT)
    expected = merge_weights(tmp_path / "base", wholes, rule, tmp_path / "expected")
    for label, parts in {"adapters": folders, "mixed": folders | {"y": wholes["y"]}}.items():
        found = merge_weights(tmp_path / "base", parts, rule, tmp_path / label)
        for key in ("weights", "norms", "cosines"):
            assert found[key] == pytest.approx(expected[key], rel=1e-5)
        for name, value in tensors_of(tmp_path / "expected").items():
            assert torch.allclose(tensors_of(tmp_path / label)[name], value, atol=1e-5)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("factors", "config", "words"),
    [
        ({"c": ([[1], [2]], [[3, 0, 4]])}, {}, "the base has no such tensor"),
        ({"a": ([[1], [2]], [[3, 0]])}, {}, r"shape \[2, 2\] for a.weight, and the base's have \[2, 3\]"),
        ({"a": ([[1], [2]], [[3, 0, 4]])}, {"use_dora": True}, "use_dora"),
        ({"a": ([[1], [2]], [[3, 0, 4]])}, {"peft_type": "IA3"}, "peft_type IA3"),
        ({"a": ([[1], [2]], [[3, 0, 4]])}, {"modules_to_save": ["head"]}, "modules_to_save"),
    ],
)
def test_adapters_that_are_something_else_are_refused(tmp_path: Path, square: Path, factors, config, words: str):
    part = adapter(tmp_path / "part", 2, factors, **config)
    with pytest.raises(ModelError, match=words):
        merge_weights(square, {"x": part}, given(x=1.0), tmp_path / "out")
    with pytest.raises(ModelError, match="name the base itself"):
        merge_weights(part, {"x": square}, given(x=1.0), tmp_path / "out")
