"""Plain values for the stages, out of the settings: where configuration objects stop."""

from functools import partial

from siked_ray.config import Config
from siked_ray.core.mixture import MixtureRules
from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.stopping import Spent, StoppingRules
from siked_ray.driver.demand import CLIENT, STUDENT, Bundle, engines_demand, is_server, missing, total, training_demand
from siked_ray.generation.openai_engine import EndpointOptions, OpenAIEngine
from siked_ray.generation.pool import EngineSpec, PoolSize
from siked_ray.generation.task import SamplingPlan, greedy_plan
from siked_ray.generation.vllm_engine import VllmEngine
from siked_ray.generation.vllm_options import EngineOptions
from siked_ray.loop import LoopRules
from siked_ray.settings import EngineSettings, TeacherSource
from siked_ray.training.plan import TrainingPlan
from siked_ray.training.trainer import WorkerGroup

_SPARE_CPUS = 1
_ENGINE_START_TIMEOUT_S = 1800.0
#: Samples in flight per sequence that an engine decodes at once: a reserve until further rows arrive, and for rows of
#: which all samples but the last are finished.
_QUEUE = 2


def engine_spec(config: Config, key: str, max_model_len: int) -> EngineSpec:
    """How the engines of the student or of a part of the teacher are opened; `key` as in `TeacherPart`."""
    if is_server(config, key):
        endpoint = endpoint_options(config.teacher_part(key).source)
        return EngineSpec(
            open_engine=partial(OpenAIEngine, options=endpoint),
            environment={},
            samples_in_flight=_QUEUE * endpoint.max_concurrency,
        )
    options = _vllm_options(config.engine_of(key), max_model_len, config.trust_remote_code)
    return EngineSpec(
        open_engine=partial(VllmEngine, options=options),
        environment=options.environment(),
        samples_in_flight=_QUEUE * options.max_num_seqs,
    )


def endpoint_options(source: TeacherSource) -> EndpointOptions:
    endpoint = source.endpoint
    return EndpointOptions(
        base_url=endpoint.base_url,
        api=endpoint.api,
        api_key_env=endpoint.api_key_env,
        max_concurrency=endpoint.max_concurrency,
    )


def _vllm_options(engine: EngineSettings, max_model_len: int, trust_remote_code: bool) -> EngineOptions:
    return EngineOptions(
        use_gpu=engine.gpus_per_engine > 0,
        num_threads=max(int(engine.cpus_per_engine), 1),
        max_num_seqs=engine.max_num_seqs,
        max_model_len=max_model_len,
        dtype=engine.dtype,
        kv_cache_gib=engine.kv_cache_gib,
        gpu_memory_utilization=engine.gpu_memory_utilization * min(engine.gpus_per_engine, 1.0),
        tensor_parallel_size=engine.tensor_parallel_size,
        pipeline_parallel_size=engine.pipeline_parallel_size,
        batch_invariant=engine.batch_invariant,
        trust_remote_code=trust_remote_code,
    )


def pool_size(config: Config, key: str) -> PoolSize:
    """How many engines the student or a part of the teacher gets; a server is talked to by one process."""
    engine, server = config.engine_of(key), is_server(config, key)
    least, most = (1, 1) if server else engine.engine_bounds
    return PoolSize(
        min_engines=least,
        max_engines=most,
        cpus_per_engine=CLIENT["CPU"] if server else engine.cpus_per_engine,
        gpus_per_engine=0.0 if server else engine.gpus_per_engine,
        resources=config.cluster.generation_resources,
        start_timeout_s=max(_ENGINE_START_TIMEOUT_S, config.cluster.placement_timeout_s),
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
        held_out_fraction=training.selection.held_out_fraction if training.selection.by == "loss" else 0.0,
    )


def worker_group(config: Config) -> WorkerGroup:
    training = config.training
    return WorkerGroup(
        num_workers=training.max_workers,
        min_workers=training.min_workers,
        cpus_per_worker=training.cpus_per_worker,
        gpus_per_worker=training.gpus_per_worker,
        max_failures=training.max_failures,
        placement_timeout_s=config.cluster.placement_timeout_s,
        resources=config.cluster.training_resources,
        checkpoint_interval_s=training.checkpoint.interval_s,
        num_checkpoints=training.checkpoint.keep,
        loggers=tuple(training.loggers),
    )


def cpus_wanted(config: Config) -> float:
    """Logical CPUs with which engines and training workers fit side by side."""
    return total(_side_by_side_bundles(config)).get("CPU", 0.0) + _SPARE_CPUS


def gpus_wanted(config: Config) -> float:
    """GPUs with which engines and training workers fit side by side."""
    return total(_side_by_side_bundles(config)).get("GPU", 0.0)


def fit_side_by_side(config: Config) -> bool:
    """True when engines and training workers all find a place on the nodes that Ray has now."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return not missing(_side_by_side_bundles(config), nodes)


def _side_by_side_bundles(config: Config) -> tuple[Bundle, ...]:
    """With the most training workers: Ray Train tries for as many as whole nodes could hold."""
    worker = training_demand(config).bundles[0]
    return (*engines_demand(config, STUDENT).bundles, *(worker for _ in range(config.training.max_workers)))
