"""Loading, adapting, wrapping and exporting of the student."""

from typing import Any

from siked_ray.training.optimization import learning_rate_factor, parameter_groups
from siked_ray.training.plan import TrainingPlan

#: All projections of attention and MLP in Llama-like models (the published LoRA targets).
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_model(path: str, plan: TrainingPlan, *, dtype: Any) -> Any:
    """The student with its adapter, if any, in training mode."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, trust_remote_code=plan.trust_remote_code)
    if plan.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    if plan.lora_rank:
        model = _with_adapter(model, plan)
    return model.train()


def _with_adapter(model: Any, plan: TrainingPlan) -> Any:
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


def wrap(model: Any, plan: TrainingPlan, *, num_steps: int, bfloat16: bool) -> Any:
    """A DeepSpeed engine with AdamW and the schedule."""
    import deepspeed
    import torch

    if not torch.cuda.is_available():
        _without_compiled_communication()
    optimizer = torch.optim.AdamW(
        parameter_groups(model, plan.weight_decay), lr=plan.learning_rate, betas=(0.9, 0.95), eps=1e-8
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_factor(
            step, num_steps=num_steps, warmup_steps=plan.warmup_steps, schedule=plan.schedule
        ),
    )
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=optimizer, lr_scheduler=schedule, config=deepspeed_config(plan, bfloat16=bfloat16)
    )
    return engine


def _without_compiled_communication() -> None:
    """Leave the CPU collectives to gloo: DeepSpeed's own would be compiled at first use, for two minutes."""
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def deepspeed_config(plan: TrainingPlan, *, bfloat16: bool) -> dict[str, Any]:
    """DeepSpeed's own settings for a plan."""
    return {
        "train_micro_batch_size_per_gpu": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.gradient_accumulation,
        "gradient_clipping": plan.max_grad_norm,
        "bf16": {"enabled": bfloat16},
        "zero_optimization": {"stage": plan.zero_stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }


def export(engine: Any, tokenizer: Any, folder: str, *, rank: int, lora: bool) -> None:
    """Write the merged model as a Hugging Face directory (called on every rank; rank 0 writes).

    The adapter is merged in float32, whatever the weights' own type, then cast back.
    """
    import deepspeed
    import torch

    model = engine.module
    with deepspeed.zero.GatheredParameters(
        list(model.parameters()), modifier_rank=None, enabled=_is_partitioned(model)
    ):
        if rank != 0:
            return
        dtype = next(model.parameters()).dtype
        if lora:
            model = model.float().merge_and_unload().to(dtype)
        state = {name: tensor.detach().to(dtype).cpu().contiguous() for name, tensor in model.state_dict().items()}
        model.save_pretrained(folder, state_dict=state)
        tokenizer.save_pretrained(folder)
    assert torch.is_tensor(next(iter(state.values()))), "a model has weights"


def _is_partitioned(model: Any) -> bool:
    return any(hasattr(parameter, "ds_id") for parameter in model.parameters())
