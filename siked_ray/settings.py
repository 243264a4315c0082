"""The settings of a run: strict models, each with its default in exactly this place.

Unknown keys are refused, instances do not change. Settings objects stop at the stage boundary: what the stages call
takes plain values. `siked_ray.config` reads and writes them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from siked_ray.core.mixture import Policy
from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Budget = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """Base of all sections: unknown keys are an error, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Settings):
    """Problems to learn from and to test on. `load_problems` says which forms a name can take."""

    train: str = Field(description="Training problems: a file, `s3://…`, a Hub name, or `world:train`.")
    test: list[str] = Field(default=[], description="Test sets; they are reported and never select anything.")
    limit: PositiveInt | None = Field(default=None, description="At most this many problems of each data set.")
    question_column: str | None = Field(default=None, description="Column of the questions, where it is not obvious.")
    answer_column: str | None = Field(default=None, description="Column of the answers, where it is not obvious.")
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Share of the training problems held out, by a hash of the question."
    )

    @field_validator("test", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class EngineSettings(Settings):
    """The pool of vLLM engines. One engine is one actor; with several GPUs per engine they are on one node."""

    num_engines: PositiveInt | tuple[PositiveInt, PositiveInt] = Field(
        default=1, description="Engines that live through the run; `[min, max]` grows with the rows that wait."
    )
    cpus_per_engine: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Logical CPUs reserved per engine.")
    gpus_per_engine: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="GPUs reserved per engine; 0.5 puts two engines on one GPU."
    )
    tensor_parallel_size: PositiveInt = Field(default=1, description="GPUs over which one engine splits each layer.")
    pipeline_parallel_size: PositiveInt = Field(default=1, description="Groups of layers, each on GPUs of its own.")
    max_num_seqs: PositiveInt = Field(default=256, description="Sequences an engine decodes at once.")
    max_model_len: PositiveInt | None = Field(default=None, description="Context in tokens (default: the model's).")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(default="auto", description="Weights' type.")
    kv_cache_gib: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Cache per engine on CPUs, in GiB.")
    gpu_memory_utilization: Fraction = Field(
        default=0.9, description="Share of its part of each GPU that an engine may fill."
    )
    batch_invariant: bool = Field(
        default=False, description="vLLM's batch-invariant kernels: the same tokens in any batch, slower; GPUs only."
    )

    @property
    def engine_bounds(self) -> tuple[int, int]:
        """Least and greatest number of engines."""
        return self.num_engines if isinstance(self.num_engines, tuple) else (self.num_engines, self.num_engines)

    @model_validator(mode="after")
    def _fits_together(self) -> "EngineSettings":
        least, most = self.engine_bounds
        if least > most:
            raise ValueError(f"num_engines [{least}, {most}] has to be [min, max] with min at most max")
        num_gpus = self.tensor_parallel_size * self.pipeline_parallel_size
        if num_gpus > 1 and self.gpus_per_engine != num_gpus:
            raise ValueError(
                f"tensor_parallel_size x pipeline_parallel_size is {num_gpus}, so an engine needs as many GPUs; set "
                f"gpus_per_engine={num_gpus} (it is {self.gpus_per_engine:g})"
            )
        if self.batch_invariant and not self.gpus_per_engine:
            raise ValueError("batch_invariant is a mode of vLLM's GPU kernels; leave it off without gpus_per_engine")
        return self


class EndpointSettings(Settings):
    """The server of source `openai`, and what it charges. Any with OpenAI's interface, vLLM's own included."""

    base_url: str = Field(default="https://api.openai.com/v1", description="Address of the server, with its `/v1`.")
    api: Literal["chat", "completions"] = Field(
        default="chat", description="`chat`: the prompt is a user's message; `completions`: it is continued as it is."
    )
    api_key_env: str = Field(default="OPENAI_API_KEY", description="Environment variable that holds the key.")
    max_concurrency: PositiveInt = Field(default=64, description="Requests under way at once.")
    price_per_million_prompt_tokens: NonNegative = Field(default=0.0, description="For the cost in the summary.")
    price_per_million_generated_tokens: NonNegative = Field(default=0.0, description="For the cost in the summary.")


class TeacherSource(Settings):
    """Where rationales come from."""

    source: Literal["vllm", "openai", "dataset", "annotations"] = Field(
        description="`vllm`: sample `model`; `openai`: the same from a server; `dataset`: rationales in `path`; "
        "`annotations`: GSM8K's own solutions in `path`."
    )
    model: str | None = Field(
        default=None, description="Model directory, Hub name or `world:teacher`; with `openai` the server's name of it."
    )
    path: str | None = Field(default=None, description="Rationales, or GSM8K's file (default: `data.train`).")
    socratic_path: str | None = Field(default=None, description="GSM8K's sub-question file: `l2m` rationales.")
    endpoint: EndpointSettings = EndpointSettings()
    engine: EngineSettings | None = Field(
        default=None, description="Engines of source `vllm` where they differ from the student's (`engine`)."
    )

    @property
    def is_sampled(self) -> bool:
        """True when a model has to be sampled; else the rationales exist."""
        return self.source in ("vllm", "openai")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.is_sampled and not self.model:
            raise ValueError(
                f"source {self.source} needs a model to sample; set teacher.model to "
                + ("a directory or a Hub name" if self.source == "vllm" else "the server's name of it")
            )
        if self.source == "dataset" and not self.path:
            raise ValueError("source dataset needs rationales; set teacher.path to a JSONL or Parquet file")
        return self


class TeacherSettings(TeacherSource):
    """Where the teacher's rationales come from."""

    strategies: dict[str, TeacherSource] = Field(
        default={}, description="Another source for some strategies, by the strategy's name."
    )


class StudentSettings(Settings):
    """The model that learns."""

    model: str = Field(description="Model directory, Hub name or `world:student`.")


class GenerationSettings(Settings):
    """Sampling from teacher and student, and what is kept of it."""

    num_samples: PositiveInt = Field(default=10, description="K: samples per (problem, strategy) at most.")
    keep: PositiveInt | Literal["all"] = Field(
        default=1, description="Stop a (problem, strategy) at its k-th correct sample; `all` draws all K."
    )
    ramp: list[PositiveInt] = Field(
        default=[1, 1, 2, 3, 3], description="Samples drawn at once, attempt after attempt; the last one repeats."
    )
    temperature: Annotated[float, Field(gt=0)] = Field(default=0.7, description="T of sampling.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(default=0.95, description="Nucleus of sampling.")
    max_new_tokens: PositiveInt = Field(default=512, description="Tokens per completion; longer ones never count.")
    program_timeout_s: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Deadline of a PoT program.")


class MixtureSettings(Settings):
    """Which rationales an iteration trains on. docs/method-decisions.md says what each policy does exactly."""

    policy: Policy = Field(default=Policy.ADAPTIVE, description="How teacher's and student's rows are put together.")
    order: list[str] = Field(default=[], description="`biased`: all strategies, the preferred one first.")
    alphas: list[Fraction] = Field(
        default=[], description="`fixed_alpha`: the teacher's share in iteration 1, 2, …; the last one repeats."
    )
    kl_bound: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="`kl_target`: most KL(P_train ‖ P_student) over strategies, in nats."
    )

    @model_validator(mode="after")
    def _policy_has_its_parameters(self) -> "MixtureSettings":
        if self.policy is Policy.FIXED_ALPHA and not self.alphas:
            raise ValueError(
                "policy fixed_alpha needs the teacher's shares; set mixture.alphas, such as [0.9, 0.5, 0.2]"
            )
        if self.policy is Policy.KL_TARGET and self.kl_bound is None:
            raise ValueError("policy kl_target needs a bound; set mixture.kl_bound, such as 0.05")
        return self


class IterationSettings(Settings):
    """How long the loop goes on."""

    max: Annotated[int, Field(ge=0)] = Field(default=3, description="Self-guided iterations after iteration 0.")
    patience: PositiveInt = Field(default=1, description="Iterations in a row without a gain before the loop stops.")
    min_gain: Fraction = Field(default=0.005, description="Rise of the held-out free accuracy that counts as a gain.")
    start: Literal["previous", "base"] = Field(default="previous", description="Weights an iteration starts from.")
    generator: Literal["self_forced", "self_free"] = Field(
        default="self_forced",
        description="The student samples every problem with each strategy's tag forced, or with its own choice of tag.",
    )
    max_drop: Fraction = Field(
        default=0.1, description="Collapse guard: a larger fall of the held-out free accuracy goes back to the best."
    )
    max_share: Fraction = Field(
        default=0.98, description="Collapse guard: a larger share of one strategy's choices, without a gain, does too."
    )
    max_hours: Budget | None = Field(default=None, description="No further iteration after this wall time of stages.")
    max_gpu_hours: Budget | None = Field(default=None, description="No further iteration after so many GPU-hours.")
    max_tokens: Budget | None = Field(
        default=None, description="No further iteration after so many tokens, sampled for training and trained on."
    )


class LoraSettings(Settings):
    """Low-rank adapters; rank 0 is full fine-tuning."""

    rank: Annotated[int, Field(ge=0)] = Field(default=16, description="Rank r; 0 trains all weights.")
    alpha: PositiveInt = Field(default=32, description="Scale: the update is alpha / r · BA.")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="Dropout before the adapter.")


class OffloadSettings(Settings):
    """What DeepSpeed keeps in CPU memory instead of a GPU's."""

    optimizer: bool = Field(default=False, description="The optimizer's state; needs `zero_stage` 1, 2 or 3.")
    parameters: bool = Field(default=False, description="The weights too; needs `zero_stage` 3.")


class CheckpointSettings(Settings):
    """Checkpoints inside a training stage; a killed worker, node or driver goes on from the last one."""

    interval_s: Annotated[float, Field(ge=0)] = Field(
        default=300.0, description="Seconds between checkpoints; 0: after every optimizer step."
    )
    keep: PositiveInt = Field(default=2, description="Checkpoints kept while a stage runs; none are kept after it.")


class SelectionSettings(Settings):
    """Choosing among the weights of several steps of a stage; off by default."""

    every_steps: PositiveInt | None = Field(default=None, description="A candidate every so many steps, and the last.")
    by: Literal["loss", "accuracy"] = Field(
        default="loss",
        description="`loss` on prompts held out of the mixture; `accuracy`: greedy and free on the held-out problems.",
    )
    held_out_fraction: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05,
        description="By loss: share of the mixture's prompts, by hash, that is not trained on but decides.",
    )


#: Published settings of the paper's student families, where they differ from the defaults.
TRAINING_PRESETS: dict[str, dict[str, Any]] = {
    "gemma": {"learning_rate": 2e-4, "schedule": "linear"},
    "smollm": {"learning_rate": 2e-4, "schedule": "linear"},
    "qwen2": {"learning_rate": 3e-4, "schedule": "cosine"},
}


class TrainingSettings(Settings):
    """Fine-tuning with Ray Train and DeepSpeed. Defaults are the published ones for Gemma and SmolLM."""

    preset: Literal["gemma", "smollm", "qwen2"] | None = Field(
        default=None, description="The paper's learning rate and schedule for a student family; what you set counts."
    )
    num_workers: PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)] = Field(
        default=1, description="Data-parallel workers; `[min, max]`: as many of these as there is room for."
    )
    cpus_per_worker: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Logical CPUs reserved per worker.")
    gpus_per_worker: Annotated[float, Field(ge=0)] = Field(default=0.0, description="GPUs reserved per worker.")
    zero_stage: Literal[0, 1, 2, 3] = Field(default=1, description="DeepSpeed ZeRO stage.")
    offload: OffloadSettings = OffloadSettings()
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on GPUs, float32 on CPUs."
    )
    epochs: PositiveInt = Field(default=3, description="Passes over the mixture.")
    micro_batch_size: PositiveInt = Field(default=2, description="Packed rows per worker and micro step.")
    gradient_accumulation: PositiveInt = Field(
        default=4, description="Micro steps per optimizer step (with fewer workers than `max`: as many more)."
    )
    max_seq_len: PositiveInt = Field(default=1024, description="Tokens per packed row.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=2e-4, description="Peak learning rate.")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="Decay after warm-up.")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(default=5, description="Steps of linear warm-up.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="On matrices only.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Gradient clipping.")
    gradient_checkpointing: bool = Field(default=False, description="Trade compute for memory.")
    loss_on: Literal["response", "all"] = Field(default="response", description="`all`: prompt too, as published.")
    lora: LoraSettings = LoraSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    selection: SelectionSettings = SelectionSettings()
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(
        default=["tensorboard"], description="Where losses go besides the run's own files (RUN/logs/tensorboard)."
    )
    max_failures: Annotated[int, Field(ge=0)] = Field(default=2, description="Worker losses survived per stage.")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return TRAINING_PRESETS.get(values.get("preset") or "", {}) | values

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainingSettings":
        if self.min_workers > self.max_workers:
            raise ValueError(f"num_workers is [min, max], and {self.min_workers} is more than {self.max_workers}")
        if self.offload.optimizer and self.zero_stage == 0:
            raise ValueError("offload.optimizer needs the optimizer's state in parts; set zero_stage to 1, 2 or 3")
        if self.offload.parameters and self.zero_stage != 3:
            raise ValueError("offload.parameters needs weights in parts; set zero_stage to 3")
        return self

    @property
    def max_workers(self) -> int:
        """Workers where there is room for all."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]

    @property
    def min_workers(self) -> int:
        """Workers below which a stage waits."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    @property
    def rows_per_step(self) -> int:
        """Packed rows of an optimizer step, however many workers do them."""
        return self.micro_batch_size * self.gradient_accumulation * self.max_workers


class EvaluationSettings(Settings):
    """Greedy evaluation (T = 0) of the student, free and forced, on the held-out split after every iteration."""

    max_new_tokens: PositiveInt = Field(default=1024, description="Tokens per completion; longer ones never count.")
    test_sets: Literal["every_iteration", "end"] = Field(
        default="every_iteration",
        description="`end`: iteration 0 and the best one alone, after the loop.",
    )


class ClusterSettings(Settings):
    """Where stages run on a cluster of several nodes. These change nothing of a run's results."""

    placement_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=1800.0, description="Seconds a stage waits for its nodes before it says what is missing."
    )
    generation_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="Custom resources each engine reserves, to stay on nodes that have them."
    )
    training_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="Custom resources each training worker reserves, likewise."
    )


class ExampleSettings(Settings):
    """A worked example of a few-shot prompt."""

    question: str
    rationale: str


class StrategyPrompt(Settings):
    """How a strategy is asked for and how its answer is read."""

    kind: AnswerKind = Field(description="`text`: read the answer; `program`: run the completion.")
    instruction: str = Field(description="What the teacher is told to do.")
    answer_markers: list[str] = Field(default=[], description="Texts before the answer; empty: the built-in ones.")
    demonstrations: list[ExampleSettings] = Field(default=[], description="Worked examples of the few-shot prompt.")


#: Placeholders of each template, all of which it has to use.
_TEMPLATE_FIELDS = {
    "teacher": ("instruction", "demonstrations", "question"),
    "demonstration": ("question", "rationale"),
    "student": ("question",),
}
#: What a rollout says when the student chose freely, or chose nothing that is known.
_RESERVED_STRATEGIES = frozenset({FREE, "none"})


class PromptSettings(Settings):
    """Texts that models see. Templates use {instruction}, {demonstrations}, {question}, {rationale}."""

    teacher: str = Field(description="Template with {instruction}, {demonstrations} and {question}.")
    demonstration: str = Field(description="Template of one worked example, with {question} and {rationale}.")
    student: str = Field(description="Template with {question}; the student answers `[strategy]: rationale`.")
    stop: list[str] = Field(default=[], description="Texts at which a teacher's completion ends.")
    strategies: dict[str, StrategyPrompt] = Field(description="An entry per strategy: cot, l2m, pot, or your own.")

    @model_validator(mode="after")
    def _templates_render(self) -> "PromptSettings":
        for name, fields in _TEMPLATE_FIELDS.items():
            _check_template(name, getattr(self, name), fields)
        return self

    @field_validator("strategies")
    @classmethod
    def _names_can_be_tags(cls, strategies: dict[str, StrategyPrompt]) -> dict[str, StrategyPrompt]:
        for name in strategies:
            if not re.fullmatch(r"\w+", name) or name in _RESERVED_STRATEGIES:
                raise ValueError(
                    f"{name!r} cannot be a strategy: its name is the tag [name]: that the student writes, so it has to "
                    f"consist of letters, digits and _ and be none of {', '.join(sorted(_RESERVED_STRATEGIES))}"
                )
        return strategies


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherPart:
    """Strategies that share a source. `key` is "teacher", or "teacher.pot" for the source of one strategy alone."""

    key: str
    source: TeacherSource
    strategies: tuple[str, ...]


class Config(Settings):
    """All settings of a run."""

    run_dir: str = Field(description="Directory (or `s3://…`) that holds everything the run makes.")
    seed: int = Field(default=42, description="Seed of splits, sampling and training.")
    data: DataSettings
    teacher: TeacherSettings
    student: StudentSettings
    start_from: str | None = Field(
        default=None,
        description="`RUN:N` goes on after iteration N of another run; `RUN:teacher` takes its teacher's rollouts.",
    )
    strategies: Annotated[list[str], Field(min_length=1)] = Field(
        default=["cot", "l2m", "pot"], description="Strategies in use; each has an entry in prompts.strategies."
    )
    prompts: PromptSettings = Field(description="`default`, `world`, a YAML file, or the texts themselves.")
    engine: EngineSettings = EngineSettings()
    generation: GenerationSettings = GenerationSettings()
    mixture: MixtureSettings = MixtureSettings()
    iterations: IterationSettings = IterationSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    cluster: ClusterSettings = ClusterSettings()
    max_quarantined_fraction: Fraction = Field(default=0.05, description="Above this share of bad rows a run fails.")
    trust_remote_code: bool = Field(default=False, description="Run code that comes with a model. Off for good reason.")

    @model_validator(mode="after")
    def _strategies_have_prompts(self) -> "Config":
        missing = [name for name in self.strategies if name not in self.prompts.strategies]
        if missing:
            known = ", ".join(sorted(self.prompts.strategies))
            raise ValueError(f"strategies names {missing} without an entry in prompts.strategies; known are {known}")
        if len(set(self.strategies)) < len(self.strategies):
            raise ValueError("strategies names one strategy twice; each counts once")
        return self

    @model_validator(mode="after")
    def _teachers_teach_strategies(self) -> "Config":
        unknown = [name for name in self.teacher.strategies if name not in self.strategies]
        if unknown:
            raise ValueError(f"teacher.strategies names {unknown}, which are not among strategies {self.strategies}")
        return self

    @model_validator(mode="after")
    def _biased_orders_all_strategies(self) -> "Config":
        if self.mixture.policy is Policy.BIASED and sorted(self.mixture.order) != sorted(self.strategies):
            raise ValueError(
                f"policy biased needs an order of all strategies {self.strategies}, and mixture.order is "
                f"{self.mixture.order}; set it to each of them once, the preferred one first"
            )
        return self

    def teacher_parts(self) -> tuple[TeacherPart, ...]:
        """The teacher's sources, each with its strategies."""
        own = self.teacher.strategies
        shared = tuple(name for name in self.strategies if name not in own)
        parts = [TeacherPart(key="teacher", source=self.teacher, strategies=shared)] if shared else []
        parts += [TeacherPart(key=f"teacher.{s}", source=source, strategies=(s,)) for s, source in own.items()]
        return tuple(parts)

    def teacher_part(self, key: str) -> TeacherPart:
        """The part of the teacher with this key."""
        return next(part for part in self.teacher_parts() if part.key == key)

    def engine_of(self, key: str) -> EngineSettings:
        """Engine settings of the student ("student"), or of a part of the teacher."""
        own = None if key == "student" else self.teacher_part(key).source.engine
        return own or self.engine

    def strategy_records(self) -> tuple[Strategy, ...]:
        """The strategies in use, as plain records for the stages."""
        return tuple(_strategy(name, self.prompts.strategies[name]) for name in self.strategies)


def _strategy(name: str, prompt: StrategyPrompt) -> Strategy:
    return Strategy(
        name=name,
        kind=prompt.kind,
        instruction=prompt.instruction,
        demonstrations=tuple(
            Demonstration(question=example.question, rationale=example.rationale) for example in prompt.demonstrations
        ),
        answer_markers=tuple(prompt.answer_markers),
    )


def _check_template(name: str, template: str, fields: Sequence[str]) -> None:
    """ValueError when a template does not render, or leaves out a placeholder without which the prompt is empty."""
    try:
        rendered = template.format(**{field: f"<{field}>" for field in fields})
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"the template {name} does not render ({error}); its placeholders are "
            f"{', '.join(f'{{{field}}}' for field in fields)}, and a literal brace is written twice"
        ) from None
    missing = [field for field in fields if f"<{field}>" not in rendered]
    if missing:
        raise ValueError(f"the template {name} has to use {', '.join(f'{{{field}}}' for field in missing)}")
