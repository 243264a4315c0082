import os
from collections.abc import Callable, Iterator

import pytest

from siked_ray.core.training_plan import TrainingPlan


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import torch

    if not os.path.exists("/dev/nvidiactl"):
        monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_plan() -> Callable[..., TrainingPlan]:
    """A plan of full fine-tuning in float32, with changes."""

    def make(**changes) -> TrainingPlan:
        values = {
            "seed": 1,
            "shuffle": True,
            "epochs": 1,
            "micro_batch_size": 2,
            "rows_per_step": 4,
            "max_seq_len": 64,
            "learning_rate": 1e-3,
            "schedule": "linear",
            "warmup_steps": 0,
            "weight_decay": 0.01,
            "max_grad_norm": 1.0,
            "gradient_checkpointing": False,
            "loss_on": "response",
            "lora_rank": 0,
            "lora_alpha": 8.0,
            "lora_dropout": 0.0,
            "zero_stage": 0,
            "precision": "float32",
            "trust_remote_code": False,
        }
        return TrainingPlan(**(values | changes))

    return make
