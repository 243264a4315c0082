"""Loss and steps on a tiny random Llama in float32, without DeepSpeed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from siked_ray.errors import StageError
from siked_ray.training.compute.attention import PACKED
from siked_ray.training.compute.loop import Due, Hooks, Progress, Worker, train
from siked_ray.training.compute.model import load_model as load_model_and_loss
from siked_ray.training.compute.model import optimizer_and_schedule
from siked_ray.training.compute.objectives import CrossEntropy
from siked_ray.training.compute.packing import Example, Lengths, PackedRow
from siked_ray.training.compute.plain_engine import PlainEngine
from siked_ray.training.compute.schedule import packed_rows, plan_steps
from siked_ray.training.compute.tensors import attention_spans, collate

CPU = torch.device("cpu")


def load_model(path, plan, *, dtype):
    return load_model_and_loss(path, plan, dtype=dtype)[0]


def train_on(engine, examples, plan, worker=None, progress=None, objective=None, computed_apart=False, **around):
    """`computed_apart`: with the steps of the plan, but each row's prompt by itself."""
    worker, schedule = worker or Worker(), plan_steps(plan, Lengths.of(examples))
    steps = range(progress.steps if progress else 0, len(schedule))
    rows = packed_rows(examples, *schedule.share(steps, rank=worker.rank, num_workers=worker.num_workers))
    objective = objective or CrossEntropy()
    plan = replace(plan, shared_prompts=plan.shared_prompts and not computed_apart)
    return train(engine, objective, rows, schedule, plan, worker, progress=progress, **around)


def packed(rows, examples) -> list[PackedRow]:
    return [PackedRow.of([examples[index] for index in row]) for row in rows]


class FakeEngine:
    """What DeepSpeed does with a loss, on one rank and without learning.

    `backward` divides by the number of micro steps, as DeepSpeed does; at the last micro step of an optimizer step
    the gradients are taken (`gradients`, one list per step) and cleared. DeepSpeed then averages them over the workers,
    which is left to the test.
    """

    def __init__(self, model, gradient_accumulation: int) -> None:
        self.module = model
        self.device = CPU
        self.gradients: list[list[torch.Tensor]] = []
        self._gradient_accumulation = gradient_accumulation
        self._num_micro_steps = 0

    def __call__(self, **inputs):
        return self.module(**inputs)

    def backward(self, loss) -> None:
        (loss / self._gradient_accumulation).backward()

    def step(self) -> None:
        self._num_micro_steps += 1
        if self._num_micro_steps % self._gradient_accumulation == 0:
            self.gradients.append(take_gradients(self.module))


def take_gradients(model) -> list[torch.Tensor]:
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return gradients


def random_examples(num_examples: int, seed: int = 0) -> list[Example]:
    """Examples whose responses differ widely in length, so that a mean of means is not the mean."""
    random = np.random.default_rng(seed)
    sizes = zip(random.integers(3, 12, num_examples), random.integers(1, 40, num_examples), strict=True)
    return [
        Example(random.integers(2, 320, p).astype(np.int32), random.integers(2, 320, r).astype(np.int32))
        for p, r in sizes
    ]


def loss_alone(model, example: Example, loss_on: str):
    """Summed loss of one example by itself, straight from the definition."""
    tokens = torch.tensor(np.concatenate([example.prompt, example.response]).astype(np.int64))[None]
    whole = {"cu_seq_lens_q": torch.tensor([0, len(example)]), "max_length_q": len(example)}
    log_p = torch.log_softmax(model(input_ids=tokens, **whole).logits[0, :-1].double(), dim=-1)
    losses = -log_p.gather(1, tokens[0, 1:, None])[:, 0]
    return (losses if loss_on == "all" else losses[len(example.prompt) - 1 :]).sum()


@pytest.fixture
def model(tiny_model: str, make_plan):
    return load_model(tiny_model, make_plan(), dtype=torch.float32)


@pytest.fixture
def lora_model(tiny_model: str, make_plan):
    return with_random_adapter(load_model(tiny_model, make_plan(lora_rank=4), dtype=torch.float32))


def with_random_adapter(model):
    """A fresh adapter changes nothing (B = 0): give it something to say."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("loss_on", ["response", "all"])
@pytest.mark.parametrize("kind", ["model", "lora_model"])
def test_packed_examples_do_not_see_each_other(kind: str, loss_on: str, request: pytest.FixtureRequest):
    model = request.getfixturevalue(kind)
    examples = random_examples(7)
    rows = [[3, 0], [1, 5, 2], [6], [4]]
    assert all(sum(len(examples[i]) for i in row) <= 128 for row in rows)

    alone = sum(loss_alone(model, example, loss_on) for example in examples)
    alone.backward()
    expected = take_gradients(model)

    batch = collate(packed(rows, examples), pad_token_id=0, loss_on=loss_on)
    together = CrossEntropy().loss(model, batch, CPU)
    together.backward()
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)
    largest = max(gradient.abs().max() for gradient in expected)
    assert largest > 0.1
    for ours, theirs in zip(take_gradients(model), expected, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * largest


def test_boundaries_are_what_keeps_examples_apart(model, monkeypatch: pytest.MonkeyPatch):
    """The test above can fail: without the boundary the second example sees the first one."""
    batch = collate(packed([[0, 1]], random_examples(2)), pad_token_id=0, loss_on="response")
    apart = CrossEntropy().loss(model, batch, CPU).item()
    whole = attention_spans(batch) | {"cu_seq_lens_q": np.array([0, len(batch.input_ids_T)], dtype=np.int32)}
    monkeypatch.setattr("siked_ray.training.compute.objectives.attention_spans", lambda _: whole)
    assert abs(CrossEntropy().loss(model, batch, CPU).item() - apart) > 0.01


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_packed_attention_is_what_transformers_masks_give(implementation: str, model, tiny_model: str):
    """Models with windows or caps in their attention go through transformers' own masks: the same there."""
    examples = random_examples(9)
    batch = collate(packed([range(5), [5, 6], [7, 8]], examples), pad_token_id=0, loss_on="all")
    ours = CrossEntropy().loss(model, batch, CPU)
    ours.backward()
    expected = take_gradients(model)
    other = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation=implementation)
    theirs = CrossEntropy().loss(other, batch, CPU)
    theirs.backward()
    assert model.config._attn_implementation == PACKED and other.config._attn_implementation == implementation
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert_close(take_gradients(other), expected, 1e-5)


def test_the_fused_loss_is_asked_for_the_same_sum(model):
    """Labels and divisor as Liger's forward takes them, on transformers' own forward."""
    batch = collate(packed([[0, 1, 2], [3]], random_examples(4)), pad_token_id=0, loss_on="response")
    plain = CrossEntropy().loss(model, batch, CPU)
    assert CrossEntropy(fused=True).loss(model, batch, CPU).item() == pytest.approx(plain.item(), rel=1e-5)


def assert_close(ours, theirs, tolerance: float) -> None:
    """Gradients equal to within a share of the largest of them."""
    largest = max(gradient.abs().max() for gradient in theirs)
    assert largest > 0
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= tolerance * largest


def run(model, examples, plan, num_workers: int):
    """All ranks one after the other: gradients averaged over them as DeepSpeed does, losses added up."""
    results, engines = [], []
    for rank in range(num_workers):
        engine = FakeEngine(model, plan.num_micro_steps(num_workers))
        results.append(train_on(engine, examples, plan, Worker(rank=rank, num_workers=num_workers)))
        engines.append(engine)
    steps = zip(*(engine.gradients for engine in engines), strict=True)
    gradients = [[sum(parts) / num_workers for parts in zip(*step, strict=True)] for step in steps]
    losses = [sum(losses) for losses in zip(*(result.losses for result in results), strict=True)]
    return gradients, losses, results[0]


@pytest.mark.parametrize(("micro_batch_size", "num_workers"), [(1, 1), (2, 1), (4, 1), (4, 2), (1, 4), (1, 3), (3, 2)])
def test_every_target_weighs_the_same_however_a_step_is_cut(model, make_plan, micro_batch_size: int, num_workers: int):
    """Accumulation 8 x 1 = 4 x 2 = 2 x 4 = 1 x 8 and any number of workers, also where the cut leaves a remainder."""
    examples = random_examples(22)
    expected, expected_losses, _ = run(model, examples, make_plan(micro_batch_size=8, rows_per_step=8), 1)
    cut = make_plan(micro_batch_size=micro_batch_size, rows_per_step=8)
    gradients, losses, _ = run(model, examples, cut, num_workers)
    assert len(expected) == 2, "the second step is a short one, some workers have nothing to do in it"
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert_close(ours, theirs, 1e-5)


def test_the_gradient_of_a_step_is_that_of_the_mean_loss_per_target(model, make_plan):
    examples = random_examples(6)
    plan = make_plan(micro_batch_size=1, rows_per_step=16)
    gradients, losses, result = run(model, examples, plan, 1)
    mean = sum(loss_alone(model, e, "response") for e in examples) / sum(len(e.response) for e in examples)
    mean.backward()
    for ours, theirs in zip(gradients[0], take_gradients(model), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert losses == [pytest.approx(mean.item(), rel=1e-5)]
    assert result.tokens == sum(len(example) for example in examples)
    assert (result.steps, result.seconds > 0) == (1, True)


def test_hooks_are_called_after_every_step(model, make_plan):
    seen, clock = [], iter([Due.NOTHING, Due.CHECKPOINT, Due.LOOK, *[Due.NOTHING] * 9])
    examples = random_examples(9)
    hooks = Hooks(
        after_step=lambda progress, due: seen.append((progress.steps, progress.losses[-1], due)),
        what_is_due=lambda: next(clock),
    )
    result = train_on(FakeEngine(model, 1), examples, make_plan(epochs=2, rows_per_step=2), hooks=hooks)
    assert [step for step, _, _ in seen] == list(range(1, result.steps + 1))
    assert [loss for _, loss, _ in seen] == result.losses
    assert [due for _, _, due in seen][:3] == [Due.NOTHING, Due.CHECKPOINT, Due.LOOK]
    assert result.tokens == 2 * sum(len(example) for example in examples)


def test_steps_that_were_done_are_not_done_again(model, make_plan):
    examples, plan = random_examples(30), make_plan(epochs=2, rows_per_step=2)
    whole_engine, rest_engine = FakeEngine(model, 1), FakeEngine(model, 1)
    whole = train_on(whole_engine, examples, plan)
    done = Progress(steps=3, tokens=100, seconds=1.0, losses=whole.losses[:3])
    rest = train_on(rest_engine, examples, plan, progress=done)
    assert rest.losses == whole.losses
    assert len(rest_engine.gradients) == whole.steps - 3
    for ours, theirs in zip(rest_engine.gradients, whole_engine.gradients[3:], strict=True):
        assert_close(ours, theirs, 0.0)


def test_dropout_is_the_same_after_a_restart(tiny_model: str, make_plan):
    plan = make_plan(lora_rank=4, lora_dropout=0.5, rows_per_step=2)
    model = with_random_adapter(load_model(tiny_model, plan, dtype=torch.float32))
    whole = train_on(FakeEngine(model, 1), random_examples(20), plan)
    torch.rand(17)
    rest = train_on(FakeEngine(model, 1), random_examples(20), plan, progress=Progress(steps=2, losses=[0.0, 0.0]))
    assert rest.losses[2:] == whole.losses[2:]
    other = make_plan(lora_rank=4, lora_dropout=0.0, rows_per_step=2)
    assert train_on(FakeEngine(model, 1), random_examples(20), other).losses[0] != whole.losses[0]


def test_a_loss_that_is_not_a_number_ends_the_stage(make_plan):
    weight = torch.nn.Parameter(torch.ones(()))

    class Broken(torch.nn.Module):
        def forward(self, input_ids, logits_to_keep, **_):
            return SimpleNamespace(logits=torch.full((1, len(logits_to_keep), 320), float("nan")) * weight)

    with pytest.raises(StageError, match=r"step 1.*training\.learning_rate"):
        train_on(FakeEngine(Broken(), 2), random_examples(4), make_plan(), hooks=Hooks(after_step=pytest.fail))


def test_learning_by_heart(tiny_model: str, make_plan):
    """The loss of a few examples falls towards zero when the steps are really taken."""
    plan = make_plan(epochs=40, micro_batch_size=4, rows_per_step=4, learning_rate=1e-2, schedule="constant")
    model = load_model(tiny_model, plan, dtype=torch.float32)
    optimizer, schedule = optimizer_and_schedule(model, plan, 40)
    engine = PlainEngine(model, optimizer, schedule, num_micro_steps=1, max_grad_norm=1.0)
    result = train_on(engine, random_examples(4), plan)
    assert result.losses[0] > 4
    assert result.losses[-1] < 0.2
