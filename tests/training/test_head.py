"""Losses at the head are the model's own, whatever its family makes of the head's logits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from siked_ray.core.objective import ObjectiveSpec
from siked_ray.errors import ModelError
from siked_ray.training.compute import head
from siked_ray.training.compute.objectives import CrossEntropy, objective_of
from siked_ray.training.compute.tensors import collate
from tests.training.test_attention import random_model, tiny_config
from tests.training.test_steps import CPU, assert_close, load_model, packed, random_examples, take_gradients

VOCABULARY = 320


@pytest.fixture
def model(tiny_model: str, make_plan):
    return load_model(tiny_model, make_plan(), dtype=torch.float32)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma"])
def test_heads_of_families(kind: str):
    check_family(random_model(tiny_config(kind, {"vocab_size": VOCABULARY}), "sdpa"))


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("Gemma2", {"final_logit_softcapping": 3.0, "head_dim": 16}),
        ("Granite", {"logits_scaling": 4.0}),
        ("Cohere", {"logit_scale": 0.5}),
    ],
)
def test_heads_that_scale_or_cap_their_logits(family: str, changes: dict[str, Any]):
    import transformers

    sizes = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0, "attn_implementation": "eager",
    }  # fmt: skip
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**sizes, **changes)
    check_family(getattr(transformers, f"{family}ForCausalLM")(config))


def test_a_head_whose_logits_are_changed_in_a_way_that_is_not_known_is_refused(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    head.check_head(model, CPU)
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    forward = model.forward

    def shifted(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits = output.logits.tanh()
        return output

    model.forward = shifted
    with pytest.raises(ModelError, match=r"LlamaForCausalLM cannot be held against a teacher"):
        head.check_head(model, CPU)


def check_family(model: Any) -> None:
    head.check_head(model, CPU)
    batch = collate(packed([[0]], random_examples(1)), pad_token_id=0, loss_on="response")
    own = CrossEntropy().loss(model, batch, CPU)
    own.backward()
    expected = take_gradients(model)
    ours: Callable[..., Any] = objective_of(ObjectiveSpec(kind="jsd", with_teacher=True)).loss
    loss = ours(model, batch, CPU)
    loss.backward()
    assert loss.item() == pytest.approx(own.item(), rel=1e-5)
    assert_close(take_gradients(model), expected, 1e-4)
