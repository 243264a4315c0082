"""Plain values for the stages, out of the settings: where configuration objects stop."""

from siked_ray.config import Config
from siked_ray.core.mixture import MixtureRules
from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.stopping import Spent, StoppingRules
from siked_ray.generation.pool import PoolSize
from siked_ray.generation.task import SamplingPlan, greedy_plan
from siked_ray.generation.vllm_engine import EngineOptions
from siked_ray.loop import LoopRules
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


def mixture_rules(config: Config) -> MixtureRules:
    mixture = config.mixture
    return MixtureRules(
        policy=mixture.policy,
        order=tuple(mixture.order),
        alphas=tuple(mixture.alphas),
        kl_bound=mixture.kl_bound,
    )


def loop_rules(config: Config) -> LoopRules:
    iterations = config.iterations
    budget = Spent(hours=iterations.max_hours, gpu_hours=iterations.max_gpu_hours, tokens=iterations.max_tokens)
    stopping = StoppingRules(
        max_iterations=iterations.max,
        patience=iterations.patience,
        min_gain=iterations.min_gain,
        max_drop=iterations.max_drop,
        max_share=iterations.max_share,
        budget=budget,
    )
    return LoopRules(stopping=stopping, start=iterations.start)


def training_plan(config: Config, seed: int) -> TrainingPlan:
    training = config.training
    return TrainingPlan(
        seed=seed,
        shuffle=True,
        epochs=training.epochs,
        micro_batch_size=training.micro_batch_size,
        gradient_accumulation=training.gradient_accumulation,
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
    )


def worker_group(config: Config) -> WorkerGroup:
    training = config.training
    return WorkerGroup(
        num_workers=training.num_workers,
        cpus_per_worker=training.cpus_per_worker,
        gpus_per_worker=training.gpus_per_worker,
        max_failures=training.max_failures,
    )


def cpus_wanted(config: Config) -> float:
    """Logical CPUs with which engines and training workers fit side by side."""
    engine, training = config.engine, config.training
    return engine.num_engines * engine.cpus_per_engine + training.num_workers * training.cpus_per_worker + _SPARE_CPUS


def gpus_wanted(config: Config) -> float:
    """GPUs with which engines and training workers fit side by side."""
    engine, training = config.engine, config.training
    return engine.num_engines * engine.gpus_per_engine + training.num_workers * training.gpus_per_worker
