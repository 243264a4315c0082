"""The student as a Hugging Face model directory, without changing the model that is being trained."""

from collections.abc import Iterator
from typing import Any

from siked_ray.training.compute.model import PROJECTOR
from siked_ray.training.compute.quantised import as_plain_model, plain_weight


def export(model: Any, tokenizer: Any, folder: str, *, rank: int) -> None:
    """Write the model, its adapter merged (called on every rank, for ZeRO 3 to gather; rank 0 writes).

    An adapter is merged in float32, whatever the weights' own type, then cast back; a base in 4 bits becomes whole
    again. One module is gathered at a time, so no GPU ever holds the whole model. The end-of-sequence token that was
    trained is where generation stops.
    """
    state = {name: tensor for name, tensor in _merged_weights(model, rank) if rank == 0}
    if rank != 0:
        return
    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    _stop_where_trained(plain, tokenizer)
    with as_plain_model(plain):
        plain.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)


def _merged_weights(model: Any, rank: int) -> Iterator[tuple[str, Any]]:
    """Names and CPU tensors of the model without adapter; on other ranks than the first the tensors are None."""
    tied: dict[int, Any] = {}
    for prefix, module in model.named_modules():
        if ".lora_" in prefix or prefix.endswith((".base_layer", PROJECTOR)):
            continue
        adapted = hasattr(module, "lora_A") and hasattr(module, "get_base_layer")
        owner = module.get_base_layer() if adapted else module
        for name, parameter in [*owner.named_parameters(recurse=False), *_persistent_buffers(owner)]:
            factors = _factors(module) if adapted and name == "weight" else []
            with _gathered([parameter, *factors]):
                if rank == 0 and id(parameter) not in tied:
                    tied[id(parameter)] = _merged(module, parameter, factors)
            yield f"{_without_adapter(prefix)}{name}", tied.get(id(parameter))


def _factors(module: Any) -> list[Any]:
    """Weights of A and B of the only adapter."""
    (adapter,) = module.lora_A.keys()
    return [module.lora_A[adapter].weight, module.lora_B[adapter].weight]


def _merged(module: Any, parameter: Any, factors: list[Any]) -> Any:
    weight, dtype = plain_weight(parameter)
    if not factors:
        return weight.to(dtype, copy=True)
    a, b = (factor.detach().cpu().float() for factor in factors)
    (adapter,) = module.lora_A.keys()
    update = module.scaling[adapter] * (b @ a)
    if getattr(module, "fan_in_fan_out", False):
        update = update.T
    return (weight.float() + update).to(dtype)


def _persistent_buffers(module: Any) -> list[tuple[str, Any]]:
    skipped = module._non_persistent_buffers_set
    return [(name, buffer) for name, buffer in module.named_buffers(recurse=False) if name not in skipped]


def _gathered(parameters: list[Any]) -> Any:
    """Whole parameters while ZeRO 3 has them in parts."""
    from contextlib import nullcontext

    if not any(hasattr(parameter, "ds_id") for parameter in parameters):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters([p for p in parameters if hasattr(p, "ds_id")], modifier_rank=None)


def _without_adapter(prefix: str) -> str:
    name = prefix.removeprefix("base_model.model.") if prefix.startswith("base_model.model.") else prefix
    return f"{name}." if name else ""


def _stop_where_trained(model: Any, tokenizer: Any) -> None:
    """Add the trained end-of-sequence token to those at which the model's own generation settings stop."""
    settings = model.generation_config
    known = settings.eos_token_id
    known = [] if known is None else known if isinstance(known, list) else [known]
    if tokenizer.eos_token_id not in known:
        settings.eos_token_id = [tokenizer.eos_token_id, *known]
