"""All settings of a run, and what sections have to agree on."""

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from siked_ray.core.chat_format import ChatFormat
from siked_ray.core.mixture import Policy
from siked_ray.core.mixture_rule import MixtureRule
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.strategy import Strategy
from siked_ray.errors import ConfigError
from siked_ray.settings.base import ADDED, Fraction, Settings
from siked_ray.settings.cluster import ClusterSettings
from siked_ray.settings.data import DataSettings
from siked_ray.settings.engine import EngineSettings
from siked_ray.settings.evaluation import EvaluationSettings
from siked_ray.settings.generation import GenerationSettings
from siked_ray.settings.iterations import IterationSettings
from siked_ray.settings.mixture import MixtureSettings
from siked_ray.settings.prompts import PromptSettings
from siked_ray.settings.student import STUDENT, StudentSettings
from siked_ray.settings.teacher import TEACHER, FurtherModel, TeacherPart, TeacherSettings, TeacherSource
from siked_ray.settings.training import TrainingSettings


class Config(Settings):
    """All settings of a run."""

    run_dir: str = Field(description="Directory (or `s3://…`) that holds everything the run makes.")
    recipe: Annotated[str, ADDED] = Field(default="siked", description="The algorithm: a file of siked_ray/recipes.")
    options: Annotated[dict[str, Any], ADDED] = Field(
        default={}, description="The recipe's own settings; SIKeD has none."
    )
    seed: int = Field(default=42, description="Seed of splits, sampling and training.")
    data: DataSettings
    teacher: TeacherSettings | None = None
    student: StudentSettings
    models: Annotated[dict[str, FurtherModel], ADDED] = Field(
        default={},
        description="Further models that a recipe asks, by a name for each; they are asked as the student is.",
    )
    start_from: str | None = Field(
        default=None,
        description="`RUN:N` goes on after iteration N of another run; `RUN:teacher` takes its teacher's rollouts; "
        "`RUN` takes every stage that was made from the same.",
    )
    strategies: Annotated[list[str], Field(min_length=1)] = Field(
        default=["cot", "l2m", "pot"], description="Strategies in use; each has an entry in prompts.strategies."
    )
    prompts: PromptSettings = Field(
        description="`default`, `world`, `views`, `world_views`, a YAML file, or the texts themselves."
    )
    engine: EngineSettings = EngineSettings()
    generation: GenerationSettings = GenerationSettings()
    mixture: MixtureSettings = MixtureSettings()
    iterations: IterationSettings = IterationSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    control: Annotated[Literal["matched", "tokens"] | None, ADDED] = Field(
        default=None,
        description="Train a twin of the loop's student on the teacher's rows alone, for as many optimizer steps "
        "(`matched`) or tokens (`tokens`), and hold the loop against it.",
    )
    cluster: ClusterSettings = ClusterSettings()
    max_quarantined_fraction: Fraction = Field(default=0.05, description="Above this share of bad rows a run fails.")
    trust_remote_code: bool = Field(default=False, description="Run code that comes with a model. Off for good reason.")

    @field_validator("run_dir")
    @classmethod
    def _run_dir_is_named(cls, run_dir: str) -> str:
        if not run_dir.strip():
            raise ValueError("an empty text names no directory; set it to one, such as runs/first")
        return run_dir

    @model_validator(mode="after")
    def _strategies_have_prompts(self) -> "Config":
        missing = [name for name in self.strategies if name not in self.prompts.strategies]
        if missing:
            known = ", ".join(sorted(self.prompts.strategies))
            raise ValueError(f"strategies names {missing} without an entry in prompts.strategies; known are {known}")
        if len(set(self.strategies)) < len(self.strategies):
            raise ValueError("strategies names one strategy twice; each counts once")
        return self

    @field_validator("models")
    @classmethod
    def _models_are_sampled(cls, models: dict[str, FurtherModel]) -> dict[str, FurtherModel]:
        for name, model in models.items():
            if not re.fullmatch(r"[a-z0-9_]+", name) or name in (STUDENT, TEACHER):
                raise ValueError(f"{name!r} names no further model; take another word of a-z, 0-9 and _")
            if not model.is_sampled:
                raise ValueError(f"{name} has source {model.source}, which is no model; set it to vllm or openai")
        return models

    @model_validator(mode="after")
    def _teachers_teach_strategies(self) -> "Config":
        if self.teacher is None:
            return self
        unknown = [name for name in self.teacher.strategies if name not in self.strategies]
        if unknown:
            raise ValueError(f"teacher.strategies names {unknown}, which are not among strategies {self.strategies}")
        return self

    @model_validator(mode="after")
    def _objective_has_its_teacher(self) -> "Config":
        if self.mixture.wrong == "teacher_kl" and self.training.objective == "hidden_mse":
            raise ValueError(
                "mixture.wrong teacher_kl corrects by probabilities, and training.objective hidden_mse has none; set "
                "training.objective to forward_kl, reverse_kl, jsd, or cross_entropy (wrong solutions: reverse KL)"
            )
        if self.teacher is None or self.objective_spec(corrects=True).kind == "cross_entropy":
            return self
        if self.teacher.logprobs:
            self._check_stored(self.training.objective, self.training.distillation.temperature)
            return self
        if self.teacher.source != "vllm" or self.teacher.strategies:
            own = self.training.objective != "cross_entropy"
            what = f"training.objective {self.training.objective}" if own else "mixture.wrong teacher_kl"
            other = "teacher.strategies" if self.teacher.source == "vllm" else f"teacher.source {self.teacher.source}"
            raise ValueError(
                f"{what} needs one teacher that training workers can load, and "
                f"{other} is none; set teacher.source to vllm without teacher.strategies, or take "
                "training.objective cross_entropy and mixture.wrong drop"
            )
        return self

    @model_validator(mode="after")
    def _best_strategy_counts_samples(self) -> "Config":
        if self.mixture.policy is Policy.BEST_STRATEGY and (
            self.generation.keep != "all" or self.generation.num_samples < 2
        ):
            raise ValueError(
                "mixture.policy best_strategy counts how many of a problem's samples are right; set generation.keep to "
                "all, and generation.num_samples to 2 or more"
            )
        return self

    @model_validator(mode="after")
    def _control_has_its_loop(self) -> "Config":
        if self.control and not self.iterations.max:
            raise ValueError(
                "control holds a loop against its twin, and iterations.max 0 makes no loop; set iterations.max to 1 or "
                "more, or leave control out"
            )
        return self

    @model_validator(mode="after")
    def _biased_orders_all_strategies(self) -> "Config":
        if self.mixture.policy is Policy.BIASED and sorted(self.mixture.order) != sorted(self.strategies):
            raise ValueError(
                f"policy biased needs an order of all strategies {self.strategies}, and mixture.order is "
                f"{self.mixture.order}; set it to each of them once, the preferred one first"
            )
        return self

    def require_teacher(self) -> None:
        """ConfigError without a teacher, for a recipe that learns from one."""
        if self.teacher is None:
            raise ConfigError(
                f"teacher.source is required, recipe {self.recipe} learns from a teacher; set it in the file or as "
                "teacher.source=…"
            )

    def require_model(self, name: str) -> None:
        """ConfigError for a model that the settings do not have: "student", "teacher", or one of `models`."""
        if name == TEACHER:
            self.require_teacher()
        elif name != STUDENT and name not in self.models:
            known = ", ".join([STUDENT, *([TEACHER] if self.teacher else []), *self.models])
            raise ConfigError(f"There is no model {name!r} in the settings (there are {known}); set models.{name}.")

    @staticmethod
    def _check_stored(objective: str, temperature: float) -> None:
        """What needs more than the most likely tokens."""
        if objective == "hidden_mse":
            raise ValueError("training.objective hidden_mse needs the teacher itself; leave teacher.logprobs out")
        if temperature != 1:
            raise ValueError(
                f"training.distillation.temperature {temperature:g} needs all of the teacher's probabilities, and "
                "teacher.logprobs stores the most likely ones; leave the one or the other out"
            )

    def objective_spec(self, *, corrects: bool = False) -> ObjectiveSpec:
        """What training minimises; `corrects`: of a mixture that may have wrong solutions (`mixture.wrong`)."""
        stored = self.top_k is not None
        correction = self.mixture.correction() if corrects else {}
        if not correction:
            return self.training.objective_spec(stored=stored)
        training = self.training
        if training.objective == "cross_entropy":
            nothing = training.distillation.model_copy(update={"weight": 0.0, "cross_entropy_weight": 1.0})
            training = training.model_copy(update={"objective": "reverse_kl", "distillation": nothing})
        spec = training.objective_spec(stored=stored)
        return replace(spec, options={**spec.options, **correction})

    @property
    def top_k(self) -> int | None:
        """How many tokens' probabilities the teacher stores at each place; None where it stores none."""
        return self.teacher.logprobs if self.teacher else None

    def mixture_rule(self, iteration: int) -> MixtureRule:
        """What an iteration trains on; in iteration 0 the teacher's right solutions."""
        return MixtureRule(
            strategies=tuple(self.strategies),
            rules=self.mixture.rules(),
            iteration=iteration,
            templates=self.prompts.templates(),
            accept=self.generation.accept,
            with_wrong=iteration > 0 and self.mixture.wrong == "teacher_kl",
        )

    def teacher_parts(self) -> tuple[TeacherPart, ...]:
        """The teacher's sources, each with its strategies; none without a teacher."""
        if self.teacher is None:
            return ()
        own = self.teacher.strategies
        shared = tuple(name for name in self.strategies if name not in own)
        parts = [TeacherPart(key=TEACHER, source=self.teacher, strategies=shared)] if shared else []
        parts += [TeacherPart(key=f"{TEACHER}.{s}", source=source, strategies=(s,)) for s, source in own.items()]
        return tuple(parts)

    def further_models(self) -> tuple[TeacherPart, ...]:
        """Those of `models`, as parts without strategies."""
        return tuple(TeacherPart(key=name, source=source, strategies=()) for name, source in self.models.items())

    def _source_of(self, key: str) -> TeacherSource:
        parts = (*self.teacher_parts(), *self.further_models())
        return next(part.source for part in parts if part.key == key)

    def engine_of(self, key: str) -> EngineSettings:
        """Engine settings of the student (`STUDENT`), of a part of the teacher, or of one of `models`."""
        own = None if key == STUDENT else self._source_of(key).engine
        return own or self.engine

    def chat_of(self, key: str) -> ChatFormat:
        """How prompts are given to the student (`STUDENT`), to a part of the teacher, or to one of `models`."""
        return self.student.chat() if key == STUDENT else self._source_of(key).chat()

    def strategy_records(self) -> tuple[Strategy, ...]:
        """The strategies in use, as plain records for the stages."""
        return tuple(self.prompts.strategies[name].record(name) for name in self.strategies)
