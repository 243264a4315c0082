"""Settings of a run: strict models with the defaults in exactly one place.

`load_config` reads a YAML file, applies `key.path=value` overrides, resolves the prompts and validates. Unknown
keys are refused. Settings objects stop at the stage boundary: what the stages call takes plain values.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from siked_ray.core.mixture import Policy
from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import AnswerKind, Demonstration, Strategy
from siked_ray.errors import ConfigError

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


class TrainingSettings(Settings):
    """Fine-tuning with Ray Train and DeepSpeed. Defaults are the published ones for Gemma and SmolLM."""

    num_workers: PositiveInt = Field(default=1, description="Data-parallel workers.")
    cpus_per_worker: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Logical CPUs reserved per worker.")
    gpus_per_worker: Annotated[float, Field(ge=0)] = Field(default=0.0, description="GPUs reserved per worker.")
    zero_stage: Literal[0, 1, 2, 3] = Field(default=1, description="DeepSpeed ZeRO stage.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on GPUs, float32 on CPUs."
    )
    epochs: PositiveInt = Field(default=3, description="Passes over the mixture.")
    micro_batch_size: PositiveInt = Field(default=2, description="Packed rows per worker and micro step.")
    gradient_accumulation: PositiveInt = Field(default=4, description="Micro steps per optimizer step.")
    max_seq_len: PositiveInt = Field(default=1024, description="Tokens per packed row.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(default=2e-4, description="Peak learning rate.")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="Decay after warm-up.")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(default=5, description="Steps of linear warm-up.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="On matrices only.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Gradient clipping.")
    gradient_checkpointing: bool = Field(default=False, description="Trade compute for memory.")
    loss_on: Literal["response", "all"] = Field(default="response", description="`all`: prompt too, as published.")
    lora: LoraSettings = LoraSettings()
    max_failures: Annotated[int, Field(ge=0)] = Field(default=2, description="Worker losses survived per stage.")


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


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read, override, resolve and validate the settings; raises ConfigError in one readable sentence."""
    values = _read_yaml(Path(path))
    for override in overrides:
        if override.startswith("prompts."):
            values["prompts"] = _resolve_prompts(values.get("prompts", "default"), Path(path).parent)
        _apply_override(values, override)
    return load_values(values, base=Path(path).parent, shown=str(path))


def load_values(values: dict[str, Any], *, base: Path, shown: str) -> Config:
    """Settings from plain values: as `load_config`; `base` is where prompt files are looked for, `shown` their name."""
    prompts = _resolve_prompts(values.get("prompts", "default"), base)
    try:
        return Config.model_validate(values | {"prompts": prompts})
    except ValidationError as error:
        raise ConfigError(f"{shown}: " + "; ".join(_sentence(issue) for issue in error.errors())) from None


def read_resolved(text: str, shown: str) -> Config:
    """Settings as a run has stored them; raises ConfigError when they are damaged or of another version."""
    try:
        return Config.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{shown} holds no settings of this version ({reason}); set run_dir to another directory."
        ) from None


def dump_config(config: Config) -> str:
    """The resolved settings as YAML; loading it again gives the same settings."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def config_sha256(config: Config) -> str:
    """Hash of everything that can change a run's results: all settings but the place it is written to."""
    values = config.model_dump(mode="json", exclude={"run_dir"})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def differing_keys(old: Config, new: Config) -> list[str]:
    """`key.path: old -> new` for every setting that differs, the run directory apart."""
    old_values, new_values = (_flatten(config.model_dump(mode="json", exclude={"run_dir"})) for config in (old, new))
    keys = sorted(old_values.keys() | new_values.keys())
    pairs = ((key, old_values.get(key), new_values.get(key)) for key in keys)
    return [f"{key}: {before!r} -> {after!r}" for key, before, after in pairs if before != after]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no settings file {path}; give the path of a YAML file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings; it has to be a mapping with keys such as data, teacher, student.")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"{override!r} is no override; write key.path=value, such as iterations.max=2.")
    *parents, last = key.split(".")
    for parent in parents:
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{override!r} cannot be set: {parent} holds a value and no section.")
        values = child
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{override!r} cannot be read: the value is no valid YAML; quote it.") from None


def _resolve_prompts(prompts: Any, base: Path) -> Any:
    """`default`, `world` or a file name become the texts they stand for; inline texts replace the default ones."""
    if isinstance(prompts, dict):
        return _merged(_built_in("default"), prompts)
    if not isinstance(prompts, str):
        return prompts
    if files("siked_ray").joinpath("prompts", f"{prompts}.yaml").is_file():
        return _built_in(prompts)
    for path in (Path(prompts), base / prompts):
        if path.is_file():
            return _read_yaml(path)
    raise ConfigError(f"prompts: {prompts!r} is neither `default`, `world` nor a YAML file; set it to one of these.")


def _built_in(name: str) -> dict[str, Any]:
    return yaml.safe_load(files("siked_ray").joinpath("prompts", f"{name}.yaml").read_text(encoding="utf-8"))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` over `base`, mapping by mapping; lists and plain values are replaced whole."""
    merged = dict(base)
    for key, value in changes.items():
        both_map = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both_map else value
    return merged


def _sentence(issue: Any) -> str:
    key = ".".join(str(part) for part in issue["loc"])
    if issue["type"] == "extra_forbidden":
        return f"unknown setting {key}{_suggestion(issue['loc'])}"
    if issue["type"] == "missing":
        wanted = " and ".join(f"{key}.{name}" for name in _required_keys(issue["loc"])) or key
        return f"{wanted} is required; set it in the file or as {wanted.partition(' ')[0]}=…"
    message = issue["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (it is {issue['input']!r})" if key and not isinstance(issue["input"], dict) else message


def _section(location: Sequence[str | int]) -> Any:
    """The settings class at a place; None where there is a plain value."""
    section: Any = Config
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        section = field.annotation if field else None
    return section


def _required_keys(location: Sequence[str | int]) -> list[str]:
    fields = getattr(_section(location), "model_fields", {})
    return [name for name, field in fields.items() if field.is_required()]


def _suggestion(location: Sequence[str | int]) -> str:
    known = list(getattr(_section(location[:-1]), "model_fields", {}))
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (known here: {', '.join(known)})" if known else ""


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: leaf
        for name, value in values.items()
        for key, leaf in _flatten(value, f"{prefix}.{name}" if prefix else name).items()
    }
