import math

import pytest

from siked_ray.training.compute.model import deepspeed_config
from siked_ray.training.compute.optimizer import learning_rate_factor, parameter_groups


def factors(schedule: str, num_steps: int, warmup_steps: int) -> list[float]:
    return [
        learning_rate_factor(step, num_steps=num_steps, warmup_steps=warmup_steps, schedule=schedule)
        for step in range(num_steps)
    ]


def test_linear_by_hand():
    assert factors("linear", 8, 3) == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_by_hand():
    expected = [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    assert factors("cosine", 5, 1) == pytest.approx([0.5, *expected])


def test_constant_after_warm_up():
    assert factors("constant", 4, 1) == pytest.approx([0.5, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("num_steps", "warmup_steps"), [(1, 0), (3, 5), (5, 5), (50, 5)])
def test_every_step_learns_something_and_none_exceeds_the_peak(schedule: str, num_steps: int, warmup_steps: int):
    assert all(0 < factor <= 1 for factor in factors(schedule, num_steps, warmup_steps))


@pytest.mark.parametrize(("schedule", "end"), [("linear", 0.0), ("cosine", 0.0), ("constant", 1.0)])
def test_a_step_beyond_the_end_stays_at_the_end(schedule: str, end: float):
    beyond = learning_rate_factor(99, num_steps=10, warmup_steps=2, schedule=schedule)
    assert beyond == pytest.approx(end)


def test_weight_decay_on_matrices_only_and_nothing_that_is_frozen():
    import torch

    model = torch.nn.ModuleDict(
        {
            "projection": torch.nn.Linear(3, 2),
            "norm": torch.nn.LayerNorm(2),
            "embedding": torch.nn.Embedding(4, 3),
            "frozen": torch.nn.Linear(3, 3).requires_grad_(False),
        }
    )
    decayed, plain = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 3), (4, 3)]
    assert [tuple(p.shape) for p in plain["params"]] == [(2,), (2,), (2,)]


def test_a_group_without_parameters_is_left_out():
    import torch

    (group,) = parameter_groups(torch.nn.Linear(3, 2, bias=False), 0.1)
    assert group["weight_decay"] == 0.1


def test_deepspeed_gets_the_numbers_of_the_plan(make_plan):
    plan = make_plan(micro_batch_size=3, rows_per_step=30, zero_stage=2, max_grad_norm=0.7, offload_optimizer=True)
    settings = deepspeed_config(plan, num_workers=2, bfloat16=True)
    assert settings["train_micro_batch_size_per_gpu"] == 3
    assert settings["gradient_accumulation_steps"] == 5
    assert settings["gradient_clipping"] == 0.7
    assert settings["zero_optimization"]["stage"] == 2
    assert settings["zero_optimization"]["offload_optimizer"]["device"] == "cpu"
    assert "offload_param" not in settings["zero_optimization"]
    assert settings["bf16"]["enabled"] is True
