"""All settings of a run, and what sections have to agree on."""

from typing import Annotated

from pydantic import Field, model_validator

from siked_ray.core.mixture import Policy
from siked_ray.core.strategy import Demonstration, Strategy
from siked_ray.settings.base import Fraction, Settings
from siked_ray.settings.cluster import ClusterSettings
from siked_ray.settings.data import DataSettings
from siked_ray.settings.engine import EngineSettings
from siked_ray.settings.iterations import EvaluationSettings, GenerationSettings, IterationSettings, MixtureSettings
from siked_ray.settings.models import StudentSettings, TeacherPart, TeacherSettings
from siked_ray.settings.prompts import PromptSettings, StrategyPrompt
from siked_ray.settings.training import TrainingSettings


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
