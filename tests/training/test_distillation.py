"""Token-level losses of packed batches: the plain formula in any cut, with one worker or several."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from siked_ray.core.objective import ObjectiveSpec
from siked_ray.data.payload import TopK
from siked_ray.training.compute import head
from siked_ray.training.compute.attention import PACKED
from siked_ray.training.compute.divergences import Divergence, divergence_of
from siked_ray.training.compute.loop import Worker
from siked_ray.training.compute.model import add_projector
from siked_ray.training.compute.objectives import CrossEntropy, Objective, objective_of
from siked_ray.training.compute.packing import Example
from siked_ray.training.compute.tensors import Batch, collate
from tests.training.deepspeed_runs import random_teacher
from tests.training.test_steps import (
    CPU,
    FakeEngine,
    assert_close,
    load_model,
    packed,
    random_examples,
    take_gradients,
    train_on,
    with_random_adapter,
)

KINDS = ["forward_kl", "reverse_kl", "jsd"]
VOCABULARY = 320


@pytest.fixture
def model(tiny_model: str, make_plan):
    return load_model(tiny_model, make_plan(), dtype=torch.float32)


@pytest.fixture
def with_projector(model, teacher):
    """For hidden states too."""
    add_projector(model, 64, seed=3)
    return model


@pytest.fixture
def lora_model(tiny_model: str, make_plan):
    return with_random_adapter(load_model(tiny_model, make_plan(lora_rank=4), dtype=torch.float32))


@pytest.fixture
def teacher(tiny_model: str, make_plan):
    """Another random model with the same tokens."""
    model = load_model(tiny_model, make_plan(), dtype=torch.float32)
    generator = torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.eval().requires_grad_(False)


def stored(kind: str, **options: float) -> Objective:
    """Out of what rows say of the teacher's top tokens."""
    return objective_of(ObjectiveSpec(kind=kind, options=options, with_teacher=True))


def beside(teacher: Any, kind: str, **options: float) -> Objective:
    """With the teacher in the worker."""
    return objective_of(ObjectiveSpec(kind=kind, options=options, beside_teacher=True), teacher=teacher)


def scored(examples: list[Example], k: int, seed: int = 0) -> list[Example]:
    """With the top k of a random teacher at each token of every response but the third's."""
    generator = torch.manual_seed(seed)
    found = []
    for number, one in enumerate(examples):
        logits = 3 * torch.randn(len(one.response), VOCABULARY, generator=generator)
        top, ids = logits.log_softmax(-1).topk(k)
        tail = (1 - top.double().exp().sum(-1)).clamp_min(0).log()
        payload = TopK(ids.int().numpy(), top.numpy().astype(np.float16), tail.numpy().astype(np.float16))
        found.append(Example(one.prompt, one.response, None if number == 2 else payload))
    return found


def whole_logits(model: Any, batch: Batch) -> Any:
    """Logits [L, V] at once, out of the model's own head."""
    kept: list[Any] = []

    class Keeping:
        def __call__(self, **inputs: Any) -> Any:
            kept.append(model(**inputs))
            return kept[-1]

    CrossEntropy().loss(Keeping(), batch, CPU)
    return kept[0].logits[0]


def by_definition(logits_LV: Any, batch: Batch, divergence: Divergence, weight: float) -> Any:
    """Cross-entropy and the divergence over K + 1 cells, target by target and in float64."""
    total: Any = 0.0
    payload = batch.payload
    for place, target in enumerate(batch.targets_L.tolist()):
        log_q = logits_LV[place].double().log_softmax(-1)
        total = total - log_q[target]
        if payload is None or not payload.is_known_R[place]:
            continue
        ids = torch.from_numpy(payload.token_ids_RK[place]).long()
        p = torch.from_numpy(np.append(payload.log_probs_RK[place], payload.log_tail_R[place])).double().exp()
        others = torch.ones(VOCABULARY, dtype=bool).index_fill(0, ids, False)
        log_q_cells = torch.cat([log_q[ids], log_q[others].logsumexp(0, keepdim=True)])
        total = total + weight * divergence((p / p.sum()).log()[None], log_q_cells[None])[0]
    return total


@pytest.mark.parametrize("chunk", [7, 10_000])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("student", ["model", "lora_model"])
def test_top_tokens_in_chunks_are_the_formula(
    student: str, kind: str, chunk: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    model = request.getfixturevalue(student)
    batch = collate(packed([[3, 0], [1, 2]], scored(random_examples(4), k=5)), pad_token_id=0, loss_on="response")
    expected = by_definition(whole_logits(model, batch), batch, divergence_of(kind, beta=0.3), weight=0.7)
    expected.backward()
    gradients = take_gradients(model)
    monkeypatch.setattr(head, "CHUNK", chunk)
    loss = stored(kind, beta=0.3, weight=0.7).loss(model, batch, CPU)
    (2 * loss).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6) and loss.dtype == torch.float32
    assert_close([gradient / 2 for gradient in take_gradients(model)], gradients, 1e-5)


@pytest.mark.parametrize(("kind", "temperature"), [*((kind, 1.0) for kind in KINDS), ("forward_kl", 2.0)])
def test_a_teacher_in_the_worker_is_the_formula(
    model, teacher, kind: str, temperature: float, monkeypatch: pytest.MonkeyPatch
):
    batch = collate(packed([[3, 0], [1, 2]], random_examples(4)), pad_token_id=0, loss_on="response")
    student_LV, teacher_LV = whole_logits(model, batch), whole_logits(teacher, batch)
    logs = [(one.double() / temperature).log_softmax(-1) for one in (teacher_LV, student_LV)]
    divergence = divergence_of(kind, beta=0.3)(*logs).sum()
    assert divergence.item() > 1
    cross_entropy = torch.nn.functional.cross_entropy(
        student_LV.double(), torch.from_numpy(batch.targets_L), reduction="sum"
    )
    expected = 0.5 * cross_entropy + 0.7 * temperature**2 * divergence
    expected.backward()
    gradients = take_gradients(model)
    monkeypatch.setattr(head, "CHUNK", 7)
    options = {"beta": 0.3, "weight": 0.7, "cross_entropy_weight": 0.5, "temperature": temperature}
    loss = beside(teacher, kind, **options).loss(model, batch, CPU)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert_close(take_gradients(model), gradients, 1e-5)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_all_tokens_but_one_give_what_a_teacher_gives(model, teacher):
    """Stored in float16."""
    examples = random_examples(3)
    batch = collate(packed([[0, 1, 2]], examples), pad_token_id=0, loss_on="response")
    top, ids = whole_logits(teacher, batch).log_softmax(-1).topk(VOCABULARY - 1)
    tail = (1 - top.double().exp().sum(-1)).log()
    payload = TopK(ids.int().numpy(), top.numpy().astype(np.float16), tail.numpy().astype(np.float16))
    whole = beside(teacher, "forward_kl").loss(model, batch, CPU)
    by_rows = stored("forward_kl").loss(model, replace(batch, payload=payload), CPU)
    assert by_rows.item() == pytest.approx(whole.item(), rel=1e-3)


def objectives(teacher: Any) -> list[Objective]:
    by_rows = [stored(kind) for kind in KINDS]
    return [*by_rows, beside(teacher, "jsd", temperature=1.5), beside(teacher, "hidden_mse")]


def test_every_target_weighs_the_same_however_a_step_is_cut(with_projector, teacher, make_plan):
    examples = scored(random_examples(11), k=4)
    for objective in objectives(teacher):
        expected = FakeEngine(with_projector, 1)
        whole = train_on(expected, examples, make_plan(micro_batch_size=8, rows_per_step=8), objective=objective)
        plan = make_plan(micro_batch_size=1, rows_per_step=8)
        engines = [FakeEngine(with_projector, plan.num_micro_steps(2)) for _ in range(2)]
        cut = [
            train_on(engine, examples, plan, Worker(rank=rank, num_workers=2), objective=objective)
            for rank, engine in enumerate(engines)
        ]
        assert [sum(losses) for losses in zip(*(one.losses for one in cut), strict=True)] == pytest.approx(whole.losses)
        for ours, *parts in zip(expected.gradients, *(engine.gradients for engine in engines), strict=True):
            assert_close([sum(two) / 2 for two in zip(*parts, strict=True)], ours, 1e-5)


def test_nothing_to_do_is_a_gradient_of_zero(with_projector, teacher):
    for objective in objectives(teacher):
        loss = objective.loss(with_projector, collate([], pad_token_id=0, loss_on="response"), CPU)
        loss.backward()
        assert loss.item() == 0 and not any(gradient.any() for gradient in take_gradients(with_projector))


def test_rows_that_no_teacher_scored_have_cross_entropy(model):
    batch = collate(packed([[0, 1]], random_examples(2)), pad_token_id=0, loss_on="all")
    loss = stored("jsd").loss(model, batch, CPU)
    assert loss.item() == pytest.approx(CrossEntropy().loss(model, batch, CPU).item(), rel=1e-6)


def test_no_more_logits_than_a_chunks_exist(with_projector, teacher, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    linear = torch.nn.functional.linear

    def watched(inputs: Any, weight: Any, bias: Any = None) -> Any:
        if weight.shape[0] == VOCABULARY:
            sizes.append(inputs.shape[-2])
        return linear(inputs, weight, bias)

    monkeypatch.setattr(head, "CHUNK", 16)
    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    batch = collate(packed([range(6)], scored(random_examples(6), k=4)), pad_token_id=0, loss_on="response")
    for objective in objectives(teacher):
        objective.loss(with_projector, batch, CPU).backward()
    assert len(batch.targets_L) > 32 and max(sizes) == 16


def test_a_loss_without_gradients_leaves_the_model_as_it_was(model):
    batch = collate(packed([[0, 1]], scored(random_examples(2), k=4)), pad_token_id=0, loss_on="response")
    objective = stored("jsd")
    with torch.no_grad():
        without = objective.loss(model, batch, CPU)
    assert not without.requires_grad
    assert objective.loss(model, batch, CPU).item() == without.item()
    assert "forward" not in vars(model.lm_head) and not model.lm_head._forward_hooks


def test_the_teachers_end_counts_for_the_students(model, teacher):
    """A teacher that ends with token 5 where the student ends with 1 is one that has the two tokens exchanged."""
    batch = collate(packed([[0, 1]], random_examples(2)), pad_token_id=0, loss_on="response")
    spec = ObjectiveSpec(kind="forward_kl", beside_teacher=True)
    ours = objective_of(spec, teacher=teacher, ends=(1, 5)).loss(model, batch, CPU).item()
    assert ours != beside(teacher, "forward_kl").loss(model, batch, CPU).item()
    with torch.no_grad():
        teacher.lm_head.weight[[1, 5]] = teacher.lm_head.weight[[5, 1]]
    assert beside(teacher, "forward_kl").loss(model, batch, CPU).item() == pytest.approx(ours, rel=1e-6)


@pytest.mark.parametrize("student", ["model", "lora_model"])
def test_hidden_states_are_the_formula(student: str, request: pytest.FixtureRequest):
    """Of a teacher half as wide, through the learned projector."""
    model = request.getfixturevalue(student)
    narrow = random_teacher(request.getfixturevalue("tiny_model"))
    add_projector(model, 32, seed=3)
    batch = collate(packed([[3, 0], [1, 2]], random_examples(4)), pad_token_id=0, loss_on="response")
    apart: list[Any] = []
    for one in (model, narrow):
        hook = one.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: apart.append(inputs[0][0]))
        logits_LV = whole_logits(one, batch)
        hook.remove()
        if one is model:
            cross_entropy = torch.nn.functional.cross_entropy(
                logits_LV.double(), torch.from_numpy(batch.targets_L), reduction="sum"
            )
    projected = model.hidden_projector(apart[0])
    expected = 0.5 * cross_entropy + 3 * (projected - apart[1].detach()).double().square().mean(-1).sum()
    expected.backward()
    gradients = take_gradients(model)
    loss = beside(narrow, "hidden_mse", weight=3.0, cross_entropy_weight=0.5).loss(model, batch, CPU)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert_close(take_gradients(model), gradients, 1e-5)


def with_wrong(examples: list[Example]) -> list[Example]:
    """Every other one is wrong."""
    return [replace(one, wrong=number % 2 == 1) for number, one in enumerate(examples)]


@pytest.mark.parametrize("chunk", [5, 10_000])
@pytest.mark.parametrize("threshold", [None, 0.0, 2.0])
def test_wrong_solutions_have_the_divergence_alone(
    model, teacher, threshold: float | None, chunk: int, monkeypatch: pytest.MonkeyPatch
):
    """From the first token on at which the two are far enough apart, also where an example is in several chunks."""
    examples = with_wrong(random_examples(6))
    batch = collate(packed([[3, 0, 5], [1, 2, 4]], examples), pad_token_id=0, loss_on="response")
    logs = [whole_logits(one, batch).double().log_softmax(-1) for one in (teacher, model)]
    apart = divergence_of("reverse_kl")(*logs)
    own = -logs[1].gather(1, torch.from_numpy(batch.targets_L)[:, None])[:, 0]
    expected: Any = 0.0
    place = num_counted = num_wrong = 0
    for number in (3, 0, 5, 1, 2, 4):
        begun = threshold is None
        for _ in examples[number].response:
            begun = begun or apart[place].item() > (threshold or 0.0)
            expected = expected + ((0.7 * apart[place] if begun else 0.0) if number % 2 else own[place])
            num_wrong += number % 2
            num_counted += (number % 2) * begun
            place += 1
    assert 0 < num_counted < num_wrong or threshold != 2.0
    expected.backward()
    gradients = take_gradients(model)
    monkeypatch.setattr(head, "CHUNK", chunk)
    options = {"weight": 0.0, "wrong_weight": 0.7, "divergence_threshold": threshold}
    loss = beside(teacher, "reverse_kl", **options).loss(model, batch, CPU)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert_close(take_gradients(model), gradients, 1e-5)


def test_wrong_solutions_are_wrong_however_a_step_is_cut(model, make_plan):
    """And where prompts are computed once."""
    examples = with_wrong(scored(random_examples(11), k=4))
    objective = stored("jsd", weight=0.0, wrong_weight=2.0)
    whole, apart = FakeEngine(model, 1), FakeEngine(model, 1)
    plan = make_plan(micro_batch_size=8, rows_per_step=8, shared_prompts=True)
    model.set_attn_implementation(PACKED)
    train_on(whole, [replace(one, prompt=examples[0].prompt) for one in examples], plan, objective=objective)
    train_on(
        apart,
        [replace(one, prompt=examples[0].prompt) for one in examples],
        plan,
        objective=objective,
        computed_apart=True,
    )
    for ours, theirs in zip(whole.gradients, apart.gradients, strict=True):
        assert_close(ours, theirs, 1e-5)
    right = train_on(FakeEngine(model, 1), [replace(one, wrong=False) for one in examples], plan, objective=objective)
    wrong = train_on(FakeEngine(model, 1), examples, plan, objective=objective)
    assert right.losses != wrong.losses


def test_a_tag_is_not_held_against_a_teacher_that_writes_none(model, teacher):
    """Its tokens have cross-entropy alone, wherever in a row it is, and where prompts are computed once."""
    examples = [replace(one, num_tag=min(3, len(one.response))) for one in random_examples(5)]
    batch = collate(packed([[3, 0], [1, 2, 4]], examples), pad_token_id=0, loss_on="response")
    logs = [whole_logits(one, batch).double().log_softmax(-1) for one in (teacher, model)]
    apart = divergence_of("reverse_kl")(*logs)
    places = [place for number in (3, 0, 1, 2, 4) for place in range(len(examples[number].response))]
    counts = torch.tensor(places) >= 3
    assert batch.is_tag_L is not None and batch.is_tag_L.tolist() == (~counts).tolist()
    loss = beside(teacher, "reverse_kl", cross_entropy_weight=0.0).loss(model, batch, CPU)
    assert loss.item() == pytest.approx((apart * counts).sum().item(), rel=1e-6)
