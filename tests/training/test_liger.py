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


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma"])
def test_the_fused_loss_is_the_plain_loss(kind: str):
    """In a process of its own, since Triton is told to interpret before it is imported."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tests.training.test_liger", kind]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def main(kind: str) -> None:
    import torch
    from liger_kernel.transformers import monkey_patch

    from siked_ray.training.attention import PACKED, register_packed_attention
    from siked_ray.training.batch import collate
    from siked_ray.training.loss import summed_loss
    from siked_ray.training.model import use_fused_loss
    from tests.training.test_attention import random_model, tiny_config
    from tests.training.test_steps import packed, random_examples, take_gradients

    apply: Any = monkey_patch._apply_liger_kernel_to_instance
    monkey_patch._apply_liger_kernel_to_instance = partial(apply, **OTHER_KERNELS)
    register_packed_attention()
    model, cpu = random_model(tiny_config(kind, {"vocab_size": 320}), PACKED), torch.device("cpu")
    batch = collate(packed([[0, 1, 2], [3]], random_examples(4)), pad_token_id=0, loss_on="response")
    plain = summed_loss(model, batch, cpu)
    plain.backward()
    expected = take_gradients(model)
    forward = type(model).forward
    assert use_fused_loss(model) and model.forward.__func__ is not forward, "Liger's forward is in place"
    fused = summed_loss(model, batch, cpu, fused=True)
    fused.backward()
    assert fused.item() == pytest.approx(plain.item(), rel=1e-5)
    largest = max(gradient.abs().max() for gradient in expected)
    for ours, theirs in zip(take_gradients(model), expected, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * largest


if __name__ == "__main__":
    main(sys.argv[1])
