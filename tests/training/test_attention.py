"""Which models can be trained on packed examples: tiny random ones of many families, packed and one by one."""

from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from siked_ray.errors import ModelError
from siked_ray.training.compute.attention import PACKED, attention_for, check_can_be_packed, register_packed_attention
from siked_ray.training.compute.model import load_model

SIZES = {
    "vocab_size": 99, "hidden_size": 32, "n_embd": 32, "intermediate_size": 40, "num_hidden_layers": 2, "n_layer": 2,
    "num_layers": 2, "num_attention_heads": 4, "n_head": 4, "num_key_value_heads": 2, "head_dim": 8, "n_positions": 64,
    "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "rotary_dim": 4,
}  # fmt: skip
WINDOW = {"sliding_window": 5}
MIXED = {"layer_types": ["sliding_attention", "full_attention"]}
ACCEPTED: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {}, PACKED),
    ("qwen2", {}, PACKED),
    ("qwen2", {**WINDOW, **MIXED, "use_sliding_window": True}, "sdpa"),
    ("qwen3", {}, PACKED),
    ("gemma", {}, PACKED),
    ("gemma2", {**WINDOW, **MIXED, "attn_logit_softcapping": 0.5}, "eager"),
    ("gemma3_text", {**WINDOW, **MIXED}, "sdpa"),
    ("mistral", {"sliding_window": None}, PACKED),
    ("mistral", WINDOW, "sdpa"),
    ("phi3", {"sliding_window": None}, PACKED),
    ("smollm3", {}, PACKED),
    ("olmo2", {}, PACKED),
    ("gpt2", {}, PACKED),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("qwen3_5_text", {"layer_types": ["linear_attention", "full_attention"]}, "there are linear_attention"),
    ("granitemoehybrid", {"layer_types": ["mamba", "attention"]}, "there are linear_attention"),
    ("lfm2", {"layer_types": ["conv", "full_attention"]}, "there are conv"),
    ("mamba", {}, "layers"),
    ("recurrent_gemma", {}, "recurrent ones"),
    ("llama4_text", {"layer_types": ["chunked_attention", "full_attention"]}, "there are chunked_attention"),
    *((kind, {}, "attention interface") for kind in ("bloom", "codegen", "gptj", "gpt_neo", "falcon", "stablelm")),
    *((kind, {}, "attention interface") for kind in ("afmoe", "gpt_oss", "nemotron", "doge")),
]


def tiny_config(kind: str, changes: dict[str, Any]) -> Any:
    config_class = CONFIG_MAPPING[kind]
    known = config_class()
    return config_class(**{name: value for name, value in SIZES.items() if hasattr(known, name)} | changes)


def random_model(config: Any, attention: str):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def logits(model, examples: list[torch.Tensor]) -> torch.Tensor:
    """[T, V] of examples laid out one after the other, as the loss asks for them."""
    boundaries = torch.tensor([0, *torch.tensor([len(one) for one in examples]).cumsum(0)], dtype=torch.int32)
    longest = max(map(len, examples))
    spans = {"cu_seq_lens_q": boundaries, "cu_seq_lens_k": boundaries, "max_length_q": longest, "max_length_k": longest}
    positions = torch.cat([torch.arange(len(one)) for one in examples])
    with torch.no_grad():
        return model(
            input_ids=torch.cat(examples)[None], position_ids=positions[None], use_cache=False, **spans
        ).logits[0]


@pytest.mark.parametrize(("kind", "changes", "attention"), ACCEPTED)
def test_packed_examples_are_what_the_model_makes_of_each_alone(kind: str, changes: dict[str, Any], attention: str):
    """Alone, that is with transformers' own plain attention: windows and caps included, and no look ahead."""
    register_packed_attention()
    config = tiny_config(kind, changes)
    check_can_be_packed(config)
    assert attention_for(config, on_gpu=False, half_precision=False) == attention
    examples = [torch.randint(3, 99, (length,)) for length in (17, 1, 12)]
    packed = logits(random_model(config, attention), examples)
    alone = random_model(config, "eager")
    with torch.no_grad():
        expected = torch.cat([alone(input_ids=one[None], use_cache=False).logits[0] for one in examples])
    assert (packed - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("kind", "changes", "why"), REFUSED)
def test_models_whose_packed_examples_would_meet_are_refused(kind: str, changes: dict[str, Any], why: str):
    config = CONFIG_MAPPING[kind](**({"num_hidden_layers": 2} if changes else {}), **changes)
    with pytest.raises(ModelError, match=f"A student of type {kind} .*{why}.*Set student.model"):
        check_can_be_packed(config)


def test_they_are_refused_before_their_weights_are_read(make_plan, tmp_path):
    tiny_config("bloom", {}).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="bloom"):
        load_model(str(tmp_path), make_plan(), dtype=torch.float32)


def test_a_model_with_code_of_its_own_is_judged_by_its_class():
    config, classes = tiny_config("llama", {}), AutoModelForCausalLM._model_mapping
    with pytest.raises(ModelError, match="attention interface"):
        check_can_be_packed(config, classes[CONFIG_MAPPING["bloom"]])
    unknown = type("OwnConfig", (CONFIG_MAPPING["llama"],), {})()
    check_can_be_packed(unknown)
