"""The settings of a run: strict models, each with its default in exactly this place.

Unknown keys are refused, instances do not change. Settings objects stop at the stage boundary: what the stages call
takes plain values. `siked_ray.config` reads and writes them.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from siked_ray.core.mixture import Policy
from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]


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


class TeacherSettings(Settings):
    """Where the teacher's rationales come from."""

    source: Literal["vllm", "dataset", "annotations"] = Field(
        description="`vllm`: sample `teacher.model`; `dataset`: rationales in `teacher.path`; "
        "`annotations`: GSM8K's own solutions in `teacher.path`."
    )
    model: str | None = Field(default=None, description="Model directory, Hub name or `world:teacher` (source vllm).")
    path: str | None = Field(default=None, description="Rationales, or GSM8K's file (default: `data.train`).")
    socratic_path: str | None = Field(default=None, description="GSM8K's sub-question file: `l2m` rationales.")

    @model_validator(mode="after")
    def _complete(self) -> "TeacherSettings":
        if self.source == "vllm" and not self.model:
            raise ValueError("source vllm needs a model to sample; set teacher.model to a directory or a Hub name")
        if self.source == "dataset" and not self.path:
            raise ValueError("source dataset needs rationales; set teacher.path to a JSONL or Parquet file")
        return self


class StudentSettings(Settings):
    """The model that learns."""

    model: str = Field(description="Model directory, Hub name or `world:student`.")


class EngineSettings(Settings):
    """The pool of vLLM engines. One engine is one actor (one process group with tensor parallelism)."""

    num_engines: PositiveInt = Field(default=1, description="Engines that live through the run.")
    cpus_per_engine: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Logical CPUs reserved per engine.")
    gpus_per_engine: Annotated[float, Field(ge=0)] = Field(default=0.0, description="GPUs reserved per engine.")
    tensor_parallel_size: PositiveInt = Field(default=1, description="GPUs over which one engine splits the model.")
    max_num_seqs: PositiveInt = Field(default=256, description="Sequences an engine decodes at once.")
    max_model_len: PositiveInt | None = Field(default=None, description="Context in tokens (default: the model's).")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(default="auto", description="Weights' type.")
    kv_cache_gib: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Cache per engine on CPUs, in GiB.")
    gpu_memory_utilization: Fraction = Field(default=0.9, description="Share of each GPU an engine may fill.")


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
    batch_size: PositiveInt = Field(default=64, description="(problem, strategy) rows per durable batch.")
    program_timeout_s: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Deadline of a PoT program.")


class MixtureSettings(Settings):
    """Which rationales an iteration trains on."""

    policy: Policy = Field(default=Policy.ADAPTIVE, description="How teacher's and student's rows are put together.")


class IterationSettings(Settings):
    """How long the loop goes on."""

    max: Annotated[int, Field(ge=0)] = Field(default=3, description="Self-guided iterations after iteration 0.")
    patience: PositiveInt = Field(default=1, description="Iterations in a row without a gain before the loop stops.")
    min_gain: Fraction = Field(default=0.005, description="Rise of the held-out free accuracy that counts as a gain.")
    start: Literal["previous", "base"] = Field(default="previous", description="Weights an iteration starts from.")


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
    """Choosing among the weights of several steps by their loss on held-out prompts; off by default."""

    every_steps: PositiveInt | None = Field(default=None, description="A candidate every so many steps, and the last.")
    held_out_fraction: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05, description="Share of the mixture's prompts, by hash, that is not trained on but decides."
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
    """Greedy evaluation (T = 0) of the student, free and forced."""

    max_new_tokens: PositiveInt = Field(default=1024, description="Tokens per completion; longer ones never count.")


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


class Config(Settings):
    """All settings of a run."""

    run_dir: str = Field(description="Directory (or `s3://…`) that holds everything the run makes.")
    seed: int = Field(default=42, description="Seed of splits, sampling and training.")
    data: DataSettings
    teacher: TeacherSettings
    student: StudentSettings
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
