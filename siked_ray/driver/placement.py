"""Plain values for the stages, out of the settings: where configuration objects stop."""

from siked_ray.config import Config
from siked_ray.core.prompts import PromptTemplates
from siked_ray.generation.pool import PoolSize
from siked_ray.generation.task import SamplingPlan, greedy_plan
from siked_ray.generation.vllm_engine import EngineOptions
from siked_ray.training.plan import TrainingPlan
from siked_ray.training.trainer import WorkerGroup

_SPARE_CPUS = 1


def engine_options(config: Config, max_model_len: int) -> EngineOptions:
    engine = config.engine
    return EngineOptions(
        use_gpu=engine.gpus_per_engine > 0,
        max_num_seqs=engine.max_num_seqs,
        max_model_len=max_model_len,
        dtype=engine.dtype,
        kv_cache_gib=engine.kv_cache_gib,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        tensor_parallel_size=engine.tensor_parallel_size,
        trust_remote_code=config.trust_remote_code,
    )


def pool_size(config: Config) -> PoolSize:
    engine = config.engine
    return PoolSize(
        num_engines=engine.num_engines,
        cpus_per_engine=engine.cpus_per_engine,
        gpus_per_engine=engine.gpus_per_engine,
    )


def sampling_plan(config: Config) -> SamplingPlan:
    generation = config.generation
    return SamplingPlan(
        num_samples=generation.num_samples,
        ramp=tuple(generation.ramp),
        keep=None if generation.keep == "all" else generation.keep,
        temperature=generation.temperature,
        top_p=generation.top_p,
        max_new_tokens=generation.max_new_tokens,
    )


def evaluation_plan(config: Config) -> SamplingPlan:
    return greedy_plan(config.evaluation.max_new_tokens)


def prompt_templates(config: Config) -> PromptTemplates:
    prompts = config.prompts
    return PromptTemplates(
        teacher=prompts.teacher,
        demonstration=prompts.demonstration,
        student=prompts.student,
        stop=tuple(prompts.stop),
    )


def training_plan(config: Config, seed: int) -> TrainingPlan:
    training = config.training
    return TrainingPlan(
        seed=seed,
        shuffle=True,
        epochs=training.epochs,
        micro_batch_size=training.micro_batch_size,
        rows_per_step=training.rows_per_step,
        max_seq_len=training.max_seq_len,
        learning_rate=training.learning_rate,
        schedule=training.schedule,
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        gradient_checkpointing=training.gradient_checkpointing,
        loss_on=training.loss_on,
        lora_rank=training.lora.rank,
        lora_alpha=training.lora.alpha,
        lora_dropout=training.lora.dropout,
        zero_stage=training.zero_stage,
        precision=training.precision,
        trust_remote_code=config.trust_remote_code,
        offload_optimizer=training.offload.optimizer,
        offload_parameters=training.offload.parameters,
        candidates_every=training.selection.every_steps,
        held_out_fraction=training.selection.held_out_fraction,
    )


def worker_group(config: Config) -> WorkerGroup:
    training = config.training
    return WorkerGroup(
        num_workers=training.max_workers,
        min_workers=training.min_workers,
        cpus_per_worker=training.cpus_per_worker,
        gpus_per_worker=training.gpus_per_worker,
        max_failures=training.max_failures,
        checkpoint_interval_s=training.checkpoint.interval_s,
        num_checkpoints=training.checkpoint.keep,
        loggers=tuple(training.loggers),
    )


def cpus_wanted(config: Config) -> float:
    """Logical CPUs with which engines and training workers fit side by side."""
    engine, training = config.engine, config.training
    return engine.num_engines * engine.cpus_per_engine + training.max_workers * training.cpus_per_worker + _SPARE_CPUS


def gpus_wanted(config: Config) -> float:
    """GPUs with which engines and training workers fit side by side."""
    engine, training = config.engine, config.training
    return engine.num_engines * engine.gpus_per_engine + training.max_workers * training.gpus_per_worker
