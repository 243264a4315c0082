"""Liger's fused linear cross-entropy, as it is called on GPUs, on Triton's interpreter: the plain loss and gradients.

Its other kernels (norms, rotary positions, gated units) do not run on the interpreter and are left out.
"""

import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from tests.training.deepspeed_runs import REPOSITORY

OTHER_KERNELS = {"rms_norm": False, "rope": False, "swiglu": False, "geglu": False}


@pytest.mark.parametrize(("kind", "lora_rank"), [("llama", 0), ("qwen2", 0), ("gemma", 0), ("qwen2", 4)])
def test_the_fused_loss_is_the_plain_loss(kind: str, lora_rank: int):
    """In a process of its own, since Triton is told to interpret before it is imported."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tests.training.test_liger", kind, str(lora_rank)]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def main(kind: str, lora_rank: int) -> None:
    import torch
    from liger_kernel.transformers import monkey_patch

    from siked_ray.training.attention import PACKED, register_packed_attention
    from siked_ray.training.batch import collate
    from siked_ray.training.loss import summed_loss
    from siked_ray.training.model import add_adapter, use_fused_loss
    from siked_ray.training.plan import TrainingPlan
    from tests.training.deepspeed_runs import plan_values
    from tests.training.test_attention import random_model, tiny_config
    from tests.training.test_steps import packed, random_examples, take_gradients, with_random_adapter

    apply: Any = monkey_patch._apply_liger_kernel_to_instance
    monkey_patch._apply_liger_kernel_to_instance = partial(apply, **OTHER_KERNELS)
    register_packed_attention()
    cpu, plan = torch.device("cpu"), TrainingPlan(**plan_values(lora_rank=lora_rank))
    models = [random_model(tiny_config(kind, {"vocab_size": 320}), PACKED) for _ in range(2)]
    forward = models[1].forward
    assert use_fused_loss(models[1]) and models[1].forward != forward, "Liger's forward is in place"
    if lora_rank:
        models = [with_random_adapter(add_adapter(model, plan)) for model in models]
        models[1].load_state_dict(models[0].state_dict())
    batch = collate(packed([[0, 1, 2], [3]], random_examples(4)), pad_token_id=0, loss_on="response")
    losses = [summed_loss(model, batch, cpu, fused=fused) for model, fused in zip(models, (False, True), strict=True)]
    for loss in losses:
        loss.backward()
    plain, fused = losses
    assert fused.item() == pytest.approx(plain.item(), rel=1e-5)
    expected, found = map(take_gradients, models)
    largest = max(gradient.abs().max() for gradient in expected)
    assert largest > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * largest


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
