"""In which precision a student is trained, where `precision: auto` leaves it open."""

from typing import Any

from siked_ray.data.processor import bfloat16_units

FLOAT32, BFLOAT16 = "float32", "bfloat16"
#: A student of fewer parameters stays in float32 on CPUs: its steps are calls more than products (docs/log.md).
MIN_PARAMETERS = 50_000_000


def gains_by_bfloat16(path: str, *, trust_remote_code: bool = False) -> bool:
    """Whether training the model of a directory on this machine's processor is faster in bfloat16."""
    return bool(bfloat16_units()) and num_parameters(path, trust_remote_code=trust_remote_code) >= MIN_PARAMETERS


def num_parameters(path: str, *, trust_remote_code: bool = False) -> int:
    """Parameters of the model of a directory, whose weights are not read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config: Any = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    return sum(parameter.numel() for parameter in model.parameters())


def dtype_of(precision: str) -> Any:
    """torch's type of weights in a precision that has been decided."""
    import torch

    return torch.bfloat16 if precision == BFLOAT16 else torch.float32
