"""Loss and steps on a tiny random Llama in float32, without DeepSpeed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from siked_ray.errors import StageError
from siked_ray.training.loss import summed_loss
from siked_ray.training.model import load_model
from siked_ray.training.packing import Example, collate
from siked_ray.training.steps import train

MAX_SEQ_LEN = 64


class FakeEngine:
    """What DeepSpeed does with a loss, on one rank and without learning.

    `backward` divides by the number of micro steps, as DeepSpeed does; at the last micro step of an optimizer step
    the gradients are taken (`gradients`, one list per step) and cleared. DeepSpeed then averages them over the workers,
    which is left to the test.
    """

    def __init__(self, model, gradient_accumulation: int) -> None:
        self.module = model
        self.device = torch.device("cpu")
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
    gradients = [p.grad.clone() for p in model.parameters() if p.requires_grad]
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
    log_p = torch.log_softmax(model(input_ids=tokens).logits[0, :-1].double(), dim=-1)
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

    batch = collate(rows, examples, max_seq_len=128, pad_token_id=0, loss_on=loss_on)
    packed = summed_loss(model, batch, torch.device("cpu"))
    packed.backward()
    assert packed.item() == pytest.approx(alone.item(), rel=1e-5)
    largest = max(gradient.abs().max() for gradient in expected)
    assert largest > 0.1
    for ours, theirs in zip(take_gradients(model), expected, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * largest


def test_positions_are_what_keeps_examples_apart(model):
    """The test above can fail: with positions that run on, the second example sees the first one."""
    examples = random_examples(2)
    batch = collate([[0, 1]], examples, max_seq_len=128, pad_token_id=0, loss_on="response")
    apart = summed_loss(model, batch, torch.device("cpu")).item()
    batch.position_ids_BT[0] = np.arange(128)
    assert abs(summed_loss(model, batch, torch.device("cpu")).item() - apart) > 0.01


def run(model, examples, plan, num_workers: int):
    """All ranks one after the other: gradients averaged over them as DeepSpeed does, losses added up."""
    results, engines = [], []
    for rank in range(num_workers):
        engine = FakeEngine(model, plan.gradient_accumulation)
        results.append(
            train(
                engine,
                examples,
                plan,
                rank=rank,
                num_workers=num_workers,
                pad_token_id=0,
                report=lambda *_: None,
            )
        )
        engines.append(engine)
    steps = zip(*(engine.gradients for engine in engines), strict=True)
    gradients = [[sum(parts) / num_workers for parts in zip(*step, strict=True)] for step in steps]
    losses = [sum(losses) for losses in zip(*(result.losses for result in results), strict=True)]
    return gradients, losses, results[0]


@pytest.mark.parametrize(
    ("micro_batch_size", "gradient_accumulation", "num_workers"), [(1, 8, 1), (2, 4, 1), (4, 1, 2), (1, 2, 4)]
)
def test_every_target_weighs_the_same_however_a_step_is_cut(
    model, make_plan, micro_batch_size: int, gradient_accumulation: int, num_workers: int
):
    examples = random_examples(22)
    whole = make_plan(micro_batch_size=8, gradient_accumulation=1)
    cut = make_plan(micro_batch_size=micro_batch_size, gradient_accumulation=gradient_accumulation)
    expected, expected_losses, _ = run(model, examples, whole, 1)
    gradients, losses, _ = run(model, examples, cut, num_workers)
    assert len(expected) == 2, "the second step is a short one, some workers have nothing to do in it"
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    for ours, theirs in zip(gradients, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert (a - b).abs().max() <= 1e-5 * max(t.abs().max() for t in theirs)


def test_the_gradient_of_a_step_is_that_of_the_mean_loss_per_target(model, make_plan):
    examples = random_examples(6)
    plan = make_plan(micro_batch_size=1, gradient_accumulation=16)
    gradients, losses, result = run(model, examples, plan, 1)
    mean = sum(loss_alone(model, e, "response") for e in examples) / sum(len(e.response) for e in examples)
    mean.backward()
    for ours, theirs in zip(gradients[0], take_gradients(model), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert losses == [pytest.approx(mean.item(), rel=1e-5)]
    assert result.tokens == sum(len(example) for example in examples)
    assert (result.steps, result.seconds > 0) == (1, True)


def test_progress_is_reported_after_every_step(model, make_plan):
    reports = []
    examples = random_examples(9)
    plan = make_plan(epochs=2, micro_batch_size=2, gradient_accumulation=1)
    result = train(
        FakeEngine(model, 1),
        examples,
        plan,
        rank=0,
        num_workers=1,
        pad_token_id=0,
        report=lambda *figures: reports.append(figures),
    )
    assert [(step, num_steps) for step, num_steps, _, _ in reports] == [
        (step + 1, result.steps) for step in range(result.steps)
    ]
    assert [loss for _, _, loss, _ in reports] == result.losses
    assert reports[-1][3] == result.tokens == 2 * sum(len(example) for example in examples)


def test_a_loss_that_is_not_a_number_ends_the_stage(make_plan):
    weight = torch.nn.Parameter(torch.ones(()))

    class Broken(torch.nn.Module):
        def forward(self, input_ids, **_):
            return SimpleNamespace(logits=torch.full((*input_ids.shape, 320), float("nan")) * weight)

    reports = []
    with pytest.raises(StageError, match=r"step 1.*training\.learning_rate"):
        train(
            FakeEngine(Broken(), 2),
            random_examples(4),
            make_plan(),
            rank=0,
            num_workers=1,
            pad_token_id=0,
            report=lambda *figures: reports.append(figures),
        )
    assert reports == []


def test_learning_by_heart(tiny_model: str, make_plan):
    """The loss of a few examples falls towards zero when the steps are really taken."""
    model = load_model(tiny_model, make_plan(), dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    class Learning(FakeEngine):
        def step(self) -> None:
            optimizer.step()
            optimizer.zero_grad()

    plan = make_plan(epochs=40, micro_batch_size=4, gradient_accumulation=1)
    result = train(
        Learning(model, 1), random_examples(4), plan, rank=0, num_workers=1, pad_token_id=0, report=lambda *_: None
    )
    assert result.losses[0] > 4
    assert result.losses[-1] < 0.2
