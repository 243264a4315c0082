"""Liger's fused linear cross-entropy, as it is called on GPUs, on Triton's interpreter: the plain loss and gradients.

Its other kernels (norms, rotary positions, gated units) do not run on the interpreter and are left out.
"""

import os
import subprocess
import sys
import traceback
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.training.deepspeed_runs import REPOSITORY

pytestmark = pytest.mark.engines
OTHER_KERNELS = {"rms_norm": False, "rope": False, "swiglu": False, "geglu": False}
CASES = (("llama", 0), ("qwen2", 0), ("gemma", 0), ("qwen2", 4))


@pytest.fixture(scope="module")
def output() -> str:
    """What a process of its own says of all cases, since Triton is told to interpret before it is imported."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tests.training.test_liger"]
    return subprocess.run(
        command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


@pytest.mark.parametrize(("kind", "lora_rank"), CASES)
def test_the_fused_loss_is_the_plain_loss(output: str, kind: str, lora_rank: int):
    assert f"the same: {kind} {lora_rank}\n" in output, output[-3000:]


def main() -> None:
    """Each case by itself: one that fails says why, and the others are tried."""
    for case in CASES:
        try:
            compare(*case)
        except Exception:
            traceback.print_exc()
        else:
            print("the same:", *case, flush=True)


def compare(kind: str, lora_rank: int) -> None:
    import torch
    from liger_kernel.transformers import monkey_patch

    from siked_ray.core.training_plan import TrainingPlan
    from siked_ray.training.compute.attention import PACKED, register_packed_attention
    from siked_ray.training.compute.model import add_adapter, use_fused_loss
    from siked_ray.training.compute.objectives import CrossEntropy
    from siked_ray.training.compute.tensors import collate
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
    examples = random_examples(4)
    examples[2] = replace(examples[2], prompt=examples[0].prompt)
    rows = packed([[0, 1, 2], [3]], examples)
    apart, shared = (collate(rows, pad_token_id=0, loss_on="response", shared_prompts=once) for once in (False, True))
    assert len(shared.input_ids_T) < len(apart.input_ids_T)
    calls = ((CrossEntropy(), apart), (CrossEntropy(fused=True), shared))
    losses = [objective.loss(model, batch, cpu) for (objective, batch), model in zip(calls, models, strict=True)]
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
    main()
