"""Prompts computed once: the same targets, losses and gradients as with a prompt for each row."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.training.compute import attention
from siked_ray.training.compute.attention import (
    PACKED,
    attention_for,
    can_share_prompts,
    packed_attention,
    register_packed_attention,
)
from siked_ray.training.compute.objectives import CrossEntropy
from siked_ray.training.compute.packing import Example, PackedRow
from siked_ray.training.compute.tensors import Batch, attention_spans, collate
from tests.training.payloads import said_of
from tests.training.test_attention import ACCEPTED, random_model, tiny_config
from tests.training.test_packing import example
from tests.training.test_steps import (
    CPU,
    FakeEngine,
    assert_close,
    load_model,
    take_gradients,
    train_on,
    with_random_adapter,
)

CAN = [(kind, changes) for kind, changes, name in ACCEPTED if name == PACKED]
CANNOT = [(kind, changes) for kind, changes, name in ACCEPTED if name != PACKED]


def rationales(sizes: list[tuple[int, list[int]]], seed: int = 0, vocabulary: int = 90) -> list[Example]:
    """Of problems with so many prompt tokens and rationales; those of a problem are not next to each other."""
    random = np.random.default_rng(seed)
    examples = []
    for num_prompt, responses in sizes:
        prompt = random.integers(3, vocabulary, num_prompt).astype(np.int32)
        for number in responses:
            response = random.integers(3, vocabulary, number).astype(np.int32)
            examples.append(Example(prompt, response, said_of(response)))
    return [examples[index] for index in random.permutation(len(examples))]


EXAMPLES = rationales([(9, [5, 1, 12]), (1, [4, 3]), (17, [2]), (0, [6, 2]), (6, [7, 7, 3, 1])])


def both(examples: list[Example], loss_on: str = "response") -> tuple[Batch, Batch]:
    """With a prompt for each row, and with prompts computed once; the examples in rows of five."""
    rows = [PackedRow.of(examples[first : first + 5]) for first in range(0, len(examples), 5)]
    apart, shared = (
        collate(rows, pad_token_id=0, loss_on=loss_on, shared_prompts=shared_prompts)
        for shared_prompts in (False, True)
    )
    return apart, shared


def test_by_hand():
    first, other = example(3, 2, first=10), example(2, 2, first=20)
    second = Example(first.prompt, np.array([17, 18], dtype=np.int32))
    apart, batch = both([first, other, second], "all")
    assert batch.input_ids_T.tolist() == [10, 11, 12, 13, 14, 20, 21, 22, 23, 17, 18]
    assert batch.position_ids_T.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 3, 4]
    assert batch.starts_E.tolist() == [0, 5, 9]
    assert batch.targets_L.tolist() == apart.targets_L.tolist() == [11, 12, 13, 14, 21, 22, 23, 11, 12, 17, 18]
    assert batch.predictors_L.tolist() == [0, 1, 2, 3, 5, 6, 7, 0, 1, 2, 9], "the prompt's tokens as often as its rows"
    spans = attention_spans(batch)
    assert spans["cu_seq_lens_q"].tolist() == [0, 5, 9, 11] and spans["cu_seq_lens_k"].tolist() == [0, 5, 9, 14]
    assert spans["shared_keys"].tolist() == [*range(9), 0, 1, 2, 9, 10]
    assert (spans["max_length_q"], spans["max_length_k"]) == (5, 5)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(1, 6), min_size=1, max_size=4)), min_size=1, max_size=9),
    st.sampled_from(["response", "all"]),
    st.integers(0, 9),
)
def test_targets_and_what_predicts_them_are_the_same(sizes, loss_on: str, seed: int):
    examples = rationales(sizes, seed)
    apart, shared = both(examples, loss_on)
    assert shared.targets_L.tolist() == apart.targets_L.tolist()
    assert (shared.payload is None) == (apart.payload is None)
    if shared.payload is not None:
        assert shared.payload.token_ids_RK.tolist() == apart.payload.token_ids_RK.tolist()
    for name in ("input_ids_T", "position_ids_T"):
        assert getattr(shared, name)[shared.predictors_L].tolist() == getattr(apart, name)[apart.predictors_L].tolist()
    prompts = {one.prompt.tobytes(): len(one.prompt) for one in examples}
    assert len(shared.input_ids_T) == sum(prompts.values()) + sum(len(one.response) for one in examples)


def test_rows_without_a_prompt_in_common_are_laid_out_as_ever():
    apart, shared = both(rationales([(4, [5]), (3, [6]), (0, [2, 2])]))
    assert shared.prefix_starts_E is None
    assert shared.input_ids_T.tolist() == apart.input_ids_T.tolist()
    assert set(attention_spans(shared)) == set(attention_spans(apart)) and "shared_keys" not in attention_spans(apart)


def loss_and_gradients(model: Any, batch: Batch, objective: Any = None) -> tuple[float, list[torch.Tensor]]:
    loss = (objective or CrossEntropy()).loss(model, batch, CPU)
    loss.backward()
    return loss.item(), take_gradients(model)


def assert_same(model: Any, loss_on: str = "response", objective: Any = None) -> None:
    apart, shared = both(EXAMPLES, loss_on)
    assert len(shared.input_ids_T) < 0.7 * len(apart.input_ids_T)
    expected, gradients = loss_and_gradients(model, apart)
    found, ours = loss_and_gradients(model, shared, objective)
    assert found == pytest.approx(expected, rel=1e-5)
    assert_close(ours, gradients, 1e-5)


@pytest.mark.parametrize("loss_on", ["response", "all"])
@pytest.mark.parametrize(("kind", "changes"), CAN)
def test_losses_and_gradients_are_the_same(kind: str, changes: dict[str, Any], loss_on: str):
    register_packed_attention()
    config = tiny_config(kind, changes)
    assert can_share_prompts(config)
    assert_same(random_model(config, PACKED), loss_on)


@pytest.mark.parametrize("changes", [{"lora_rank": 4}, {"gradient_checkpointing": True}])
def test_with_an_adapter_and_with_checkpointed_gradients(changes: dict[str, Any], tiny_model: str, make_plan):
    plan = make_plan(shared_prompts=True, **changes)
    assert_same(with_random_adapter(load_model(tiny_model, plan, dtype=torch.float32)))


def test_the_fused_loss_is_told_what_predicts_a_target(tiny_model: str, make_plan):
    """On transformers' own forward, which takes the same arguments as Liger's."""
    model = load_model(tiny_model, make_plan(shared_prompts=True), dtype=torch.float32)
    assert_same(model, objective=CrossEntropy(fused=True))


def test_the_prompt_is_what_responses_see(tiny_model: str, make_plan, monkeypatch: pytest.MonkeyPatch):
    """The tests above can fail: with another prompt's keys the loss is another one."""
    model = load_model(tiny_model, make_plan(shared_prompts=True), dtype=torch.float32)
    _, shared = both(EXAMPLES)
    expected, _ = loss_and_gradients(model, shared)
    spans = attention_spans(shared)
    moved = spans | {"shared_keys": np.maximum(spans["shared_keys"] - 1, 0)}
    monkeypatch.setattr("siked_ray.training.compute.objectives.attention_spans", lambda _: moved)
    assert abs(loss_and_gradients(model, shared)[0] - expected) > 0.01


@pytest.mark.parametrize(("kind", "changes"), CANNOT)
def test_models_with_masks_of_their_own_cannot(kind: str, changes: dict[str, Any]):
    assert not can_share_prompts(tiny_config(kind, changes))


def test_shared_prompts_take_our_attention_on_gpus_too(tiny_model: str, make_plan, monkeypatch: pytest.MonkeyPatch):
    """FlashAttention's package gathers no keys; torch's own kernel is the same one."""
    monkeypatch.setattr(attention, "find_spec", lambda name: name == "flash_attn")
    assert attention_for(tiny_config("llama", {}), on_gpu=True, half_precision=True) == "flash_attention_2"
    assert can_share_prompts(tiny_config("llama", {}))
    plan = make_plan(shared_prompts=True)
    assert load_model(tiny_model, plan, dtype=torch.bfloat16).config._attn_implementation == PACKED


def varlen_reference(query, key, value, cu_q, cu_k, max_q, max_k, *, scale, window_size, enable_gqa):
    """torch.nn.attention.varlen.varlen_attn from its definition: causal from the end, on [T, H, D]."""
    assert window_size == (-1, 0) and cu_q.dtype == cu_k.dtype == torch.int32
    num_queries, num_keys = cu_q.diff().tolist(), cu_k.diff().tolist()
    assert (max(num_queries), max(num_keys)) == (max_q, max_k)
    assert (sum(num_queries), sum(num_keys)) == (len(query), len(key))
    if enable_gqa:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    outputs = []
    for q, k, v in zip(query.split(num_queries), key.split(num_keys), value.split(num_keys), strict=True):
        scores = torch.einsum("qhd,khd->hqk", q, k) * (scale or q.shape[-1] ** -0.5)
        hidden = torch.ones(len(q), len(k), dtype=torch.bool).triu(len(k) - len(q) + 1)
        outputs.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(hidden, -torch.inf).softmax(-1), v))
    return torch.cat(outputs)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_kernel_for_variable_lengths_is_called_for_the_same(kind: str, monkeypatch: pytest.MonkeyPatch):
    """What a GPU would run, with a reference in place of the kernel."""
    register_packed_attention()
    model = random_model(tiny_config(kind, {}), PACKED)
    for batch in both(EXAMPLES):
        expected, gradients = loss_and_gradients(model, batch)
        with monkeypatch.context() as on_gpu:
            on_gpu.setattr(attention, "_suits_kernel", lambda query: True)
            on_gpu.setattr("torch.nn.attention.varlen.varlen_attn", varlen_reference)
            found, ours = loss_and_gradients(model, batch)
        assert found == pytest.approx(expected, rel=1e-5)
        assert_close(ours, gradients, 1e-5)


def test_queries_are_causal_from_the_end():
    """Of a response of one token, which sees all of its prompt and itself."""
    spans = attention_spans(both(EXAMPLES)[1])
    tensors = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in spans.items()}
    num_tokens = int(spans["cu_seq_lens_q"][-1])
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, num_tokens, 8), *torch.randn(2, 1, 2, num_tokens, 8)
    out, _ = packed_attention(None, query, key, value, None, **tensors)
    for number, (start, end) in enumerate(zip(spans["cu_seq_lens_q"], spans["cu_seq_lens_q"][1:], strict=False)):
        places = spans["shared_keys"][spans["cu_seq_lens_k"][number] : spans["cu_seq_lens_k"][number + 1]]
        seen = torch.nn.functional.scaled_dot_product_attention(
            query[:, :, end - 1 : end], key[:, :, places], value[:, :, places], enable_gqa=True
        )
        assert (out[0, end - 1] - seen[0, :, 0]).abs().max() < 1e-5 and start < end


def test_a_stage_of_shared_prompts_does_what_rows_with_their_own_do(tiny_model: str, make_plan):
    """The same steps either way; fewer tokens are computed."""
    plan = make_plan(shared_prompts=True, epochs=2, rows_per_step=4)
    examples = rationales([(12, [5, 9, 3])] * 20, vocabulary=300)
    results = {}
    for shared in (True, False):
        model = load_model(tiny_model, plan, dtype=torch.float32)
        engine = FakeEngine(model, plan.num_micro_steps(1))
        results[shared] = (train_on(engine, examples, plan, computed_apart=not shared), engine.gradients)
    (ours, gradients), (theirs, expected) = results[True], results[False]
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-5)
    for a, b in zip(gradients, expected, strict=True):
        assert_close(a, b, 1e-5)
    assert ours.tokens == theirs.tokens == theirs.computed_tokens
    assert ours.computed_tokens < 0.75 * theirs.computed_tokens
