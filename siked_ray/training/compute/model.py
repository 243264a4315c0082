"""Loading, adapting and wrapping of the student."""

import inspect
from importlib.util import find_spec
from typing import Any

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.errors import ModelError
from siked_ray.training.compute.attention import (
    PACKED,
    attention_for,
    check_can_be_packed,
    register_packed_attention,
)
from siked_ray.training.compute.optimizer import learning_rate_factor, parameter_groups
from siked_ray.training.compute.quantised import loading_arguments

#: All projections of attention and MLP in Llama-like models (the published LoRA targets).
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
#: A student's module that maps its hidden states to its teacher's.
PROJECTOR = "hidden_projector"


def load_model(path: str, plan: TrainingPlan, *, dtype: Any, on_gpu: bool = False) -> tuple[Any, bool]:
    """The student with its adapter, if any, in training mode, and whether its loss is Liger's (on GPUs).

    Raises ModelError when it cannot be trained here.
    """
    import torch

    torch.manual_seed(plan.seed)  # of a fresh adapter
    model = _packable(path, plan, dtype=dtype, on_gpu=on_gpu, **loading_arguments(plan, dtype))
    if not _takes_logits_to_keep(model):
        raise ModelError(
            f"The student {path} cannot be trained: the forward function of {type(model).__name__} takes no "
            "logits_to_keep, as transformers' own causal language models do."
        )
    # Under ZeRO 3 the kernel would find the head in parts.
    fused_loss = on_gpu and plan.zero_stage < 3 and use_fused_loss(model)
    if plan.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    if plan.lora_rank:
        model = add_adapter(model, plan)
    return model.train(), fused_loss


def load_teacher(path: str, plan: TrainingPlan, *, dtype: Any, on_gpu: bool = False) -> Any:
    """A model that a student is held against, frozen; raises ModelError when it cannot be."""
    model = _packable(path, plan, dtype=dtype, on_gpu=on_gpu)
    if not _takes_logits_to_keep(model):
        raise ModelError(
            f"The teacher {path} cannot be asked in training workers: the forward function of {type(model).__name__} "
            "takes no logits_to_keep, as transformers' own causal language models do."
        )
    return model.eval().requires_grad_(False)


def add_projector(model: Any, width: int, seed: int) -> None:
    """Let a model have a linear map PROJECTOR from its hidden states to those of a teacher of another width; it is
    trained with the model and never exported. It begins as the identity where widths are equal."""
    import torch

    like = model.get_output_embeddings().weight
    projector = torch.nn.Linear(like.shape[1], width, bias=False)
    torch.manual_seed(seed)
    begin = torch.nn.init.eye_ if like.shape[1] == width else torch.nn.init.orthogonal_
    begin(projector.weight)
    setattr(model, PROJECTOR, projector.to(like.dtype))


def _packable(path: str, plan: TrainingPlan, *, dtype: Any, on_gpu: bool, **loading: Any) -> Any:
    """A model that takes packed examples; raises ModelError when it would mix them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    register_packed_attention()
    config = AutoConfig.from_pretrained(path, trust_remote_code=plan.trust_remote_code)
    check_can_be_packed(config)
    half_precision = dtype != torch.float32
    attention = PACKED if plan.shared_prompts else attention_for(config, on_gpu=on_gpu, half_precision=half_precision)
    model = AutoModelForCausalLM.from_pretrained(
        path, dtype=dtype, trust_remote_code=plan.trust_remote_code, attn_implementation=attention, **loading
    )
    check_can_be_packed(config, type(model))  # for a class that comes with the model
    return model


def _takes_logits_to_keep(model: Any) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def use_fused_loss(model: Any) -> bool:
    """Replace a plain model's loss and norms by Liger's kernels, where they are installed and know the model."""
    if find_spec("liger_kernel") is None:
        return False
    from liger_kernel.transformers import monkey_patch  # type: ignore[import-not-found,unused-ignore]

    if model.config.model_type not in monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN:
        return False
    monkey_patch._apply_liger_kernel_to_instance(model=model)
    return True


def add_adapter(model: Any, plan: TrainingPlan) -> Any:
    """The model with a fresh adapter, which alone is trained."""
    from peft import LoraConfig, get_peft_model

    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    targets: Any = LORA_TARGETS if names & set(LORA_TARGETS) else "all-linear"
    config = LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        lora_dropout=plan.lora_dropout,
        target_modules=targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def optimizer_and_schedule(model: Any, plan: TrainingPlan, num_steps: int) -> tuple[Any, Any]:
    """AdamW and the schedule of its learning rate."""
    import torch

    optimizer = torch.optim.AdamW(
        parameter_groups(model, plan.weight_decay),
        lr=plan.learning_rate,
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_factor(
            step, num_steps=num_steps, warmup_steps=plan.warmup_steps, schedule=plan.schedule
        ),
    )
    return optimizer, schedule


def wrap(
    model: Any, plan: TrainingPlan, *, num_steps: int, num_workers: int, bfloat16: bool, universal: bool = False
) -> Any:
    """A DeepSpeed engine with AdamW and the schedule; `universal`: it will load a universal checkpoint."""
    import deepspeed
    import torch

    _without_compiled_muon()
    if not torch.cuda.is_available():
        _without_compiled_communication()
    optimizer, schedule = optimizer_and_schedule(model, plan, num_steps)
    config = deepspeed_config(plan, num_workers=num_workers, bfloat16=bfloat16, universal=universal)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, lr_scheduler=schedule, config=config)
    _start_afresh(engine.optimizer)
    return engine


def _start_afresh(optimizer: Any) -> None:
    """Undo the step of AdamW that DeepSpeed 0.19.8 takes to allocate its state, in bfloat16 without ZeRO alone: it
    would leave the decay of a step in the weights, and the corrections of both moments a step too far."""
    from siked_ray.ray_internals import FP16_UnfusedOptimizer

    if isinstance(optimizer, FP16_UnfusedOptimizer):
        optimizer.refresh_fp32_params()
        optimizer.state.clear()


def _without_compiled_muon() -> None:
    """Leave DeepSpeed's Muon as it is written. Nobody uses that optimizer here, but DeepSpeed imports it to ask whether
    it is the one in use, which would import torch's compiler, for a second or two (docs/log.md)."""
    from siked_ray.ray_internals import deepspeed_compiler

    deepspeed_compiler.compile = lambda: lambda function: function


def _without_compiled_communication() -> None:
    """Leave the CPU collectives to gloo: DeepSpeed's own would be compiled at first use, for two minutes."""
    from siked_ray.ray_internals import compatible_ops

    compatible_ops["deepspeed_shm_comm"] = False


def deepspeed_config(
    plan: TrainingPlan, *, num_workers: int, bfloat16: bool, universal: bool = False
) -> dict[str, Any]:
    """DeepSpeed's own settings for a plan."""
    zero: dict[str, Any] = {"stage": plan.zero_stage}
    if plan.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if plan.offload_parameters:
        zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {
        "train_micro_batch_size_per_gpu": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.num_micro_steps(num_workers),
        "gradient_clipping": plan.max_grad_norm,
        "bf16": {"enabled": bfloat16},
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "checkpoint": {"load_universal": universal},
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }
