"""Adapters and the export of a student, without a DeepSpeed engine: only its `module` is needed."""

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from siked_ray.training.compute.model import LORA_TARGETS
from siked_ray.training.compute.model import load_model as load_model_and_loss
from siked_ray.training.stage.export import export

TOKENS = torch.arange(2, 42)[None]
SPANS = {"cu_seq_lens_q": torch.tensor([0, 40]), "max_length_q": 40}


def load_model(path, plan, *, dtype):
    return load_model_and_loss(path, plan, dtype=dtype)[0]


def exported(model, tokenizer_of: str, folder, *, rank: int = 0):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    export(model, tokenizer, str(folder), rank=rank)


def randomise_adapter(model) -> None:
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)


def logits_of(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=TOKENS, **SPANS).logits.float()


@pytest.mark.parametrize("tied", [False, True])
def test_a_merged_adapter_gives_the_same_logits(tied: bool, make_model, make_plan, tmp_path):
    start = make_model("start", tie_word_embeddings=tied)
    model = load_model(start, make_plan(lora_rank=4, lora_alpha=8.0), dtype=torch.float32)
    base = logits_of(AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32))
    assert torch.equal(logits_of(model), base), "a fresh adapter changes nothing"
    randomise_adapter(model)
    unmerged = logits_of(model)
    assert (unmerged - base).abs().max() > 0.1

    exported(model, start, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.dtype == torch.float32
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert (logits_of(merged) - unmerged).abs().max() < 1e-4
    assert AutoTokenizer.from_pretrained(tmp_path / "merged")("[cot]: 3")["input_ids"]


@pytest.mark.parametrize("rank", [0, 4])
def test_weights_are_stored_in_their_own_type(rank: int, make_model, make_plan, tmp_path):
    start = make_model("start")
    model = load_model(start, make_plan(lora_rank=rank), dtype=torch.bfloat16)
    randomise_adapter(model)
    unmerged = logits_of(model)
    exported(model, start, tmp_path / "merged")
    with safe_open(tmp_path / "merged" / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.bfloat16)
    assert (logits_of(merged) - unmerged).abs().max() < 0.05 * unmerged.abs().max()


def test_only_the_adapter_is_trained_and_it_sits_on_all_projections(tiny_model: str, make_plan):
    model = load_model(tiny_model, make_plan(lora_rank=4), dtype=torch.float32)
    assert model.training
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in trained)
    assert len(trained) == 2 * 2 * len(LORA_TARGETS), "A and B for each projection of 2 layers"


def test_full_fine_tuning_trains_and_exports_all_weights(tiny_model: str, make_plan, tmp_path):
    model = load_model(tiny_model, make_plan(), dtype=torch.float32)
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    exported(model, tiny_model, tmp_path / "out")
    assert torch.equal(logits_of(AutoModelForCausalLM.from_pretrained(tmp_path / "out")), logits_of(model))


@pytest.mark.parametrize("rank", [0, 4])
def test_gradient_checkpointing_changes_no_gradient(rank: int, tiny_model: str, make_plan):
    gradients = []
    for checkpointing in (False, True):
        plan = make_plan(lora_rank=rank, gradient_checkpointing=checkpointing)
        torch.manual_seed(2)
        model = load_model(tiny_model, plan, dtype=torch.float32)
        randomise_adapter(model)
        model(input_ids=TOKENS, use_cache=False, **SPANS).logits.square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    assert any(gradient.abs().max() > 0 for gradient in gradients[0])
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.allclose(plain, checkpointed, atol=1e-6)


def test_other_ranks_write_nothing(tiny_model: str, make_plan, tmp_path):
    model = load_model(tiny_model, make_plan(), dtype=torch.float32)
    exported(model, tiny_model, tmp_path / "out", rank=1)
    assert not (tmp_path / "out").exists()
