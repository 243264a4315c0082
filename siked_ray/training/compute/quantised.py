"""A frozen base in 4 bits, under an adapter that is trained: QLoRA (arXiv 2305.14314).

With bitsandbytes' NF4 and double quantisation. The head and the embeddings stay as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from siked_ray.core.training_plan import TrainingPlan


def loading_arguments(plan: TrainingPlan, dtype: Any) -> dict[str, Any]:
    """What transformers is told when it loads the base; products are computed in `dtype`."""
    if plan.base_precision is None:
        return {}
    from transformers import BitsAndBytesConfig

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=plan.base_precision,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": quantisation}


def plain_weight(parameter: Any) -> tuple[Any, Any]:
    """A parameter's value on the CPU, in float32 where it was quantised, and the type that it is exported in."""
    state = getattr(parameter, "quant_state", None)
    if state is None:
        return parameter.detach().cpu(), parameter.dtype
    from bitsandbytes.functional import dequantize_4bit  # type: ignore[import-not-found,unused-ignore]

    return dequantize_4bit(parameter.detach(), state).cpu().float(), state.dtype


@contextmanager
def as_plain_model(model: Any) -> Iterator[None]:
    """While weights are saved that are no longer quantised: transformers would say in the folder that they are."""
    if getattr(model, "hf_quantizer", None) is None:
        yield
        return
    quantizer, config = model.hf_quantizer, model.config.quantization_config
    model.hf_quantizer = None
    del model.config.quantization_config
    try:
        yield
    finally:
        model.hf_quantizer, model.config.quantization_config = quantizer, config
