"""What a pool of engines is asked to do, as plain picklable values."""

from collections import Counter
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from siked_ray.core.prompts import PromptTemplates
from siked_ray.core.strategy import Strategy
from siked_ray.data.storage import Storage

#: A row of a generation pipeline: {problem_id, question, answer, strategy}.
Row = dict[str, Any]


class Role(StrEnum):
    """Whose prompt is rendered."""

    TEACHER = "teacher"
    STUDENT = "student"


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingPlan:
    """How a row is sampled. `temperature` 0 is greedy; `keep` None draws all samples."""

    num_samples: int
    ramp: tuple[int, ...]
    keep: int | None
    temperature: float
    top_p: float
    max_new_tokens: int

    @property
    def samples_at_once(self) -> int:
        """Samples of a row that are drawn together, at first."""
        return self.num_samples if self.keep is None else min(self.ramp[0], self.num_samples)


def greedy_plan(max_new_tokens: int) -> SamplingPlan:
    """One completion at temperature 0, as in evaluation."""
    return SamplingPlan(num_samples=1, ramp=(1,), keep=None, temperature=0.0, top_p=1.0, max_new_tokens=max_new_tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationTask:
    """One pass over rows. `weights` is the directory or name that the engine has to have loaded; `model` is the
    label kept with each rollout."""

    role: Role
    iteration: int
    model: str
    weights: str
    run_seed: int
    strategies: tuple[Strategy, ...]
    templates: PromptTemplates
    plan: SamplingPlan
    program_timeout_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSink:
    """Where finished rows go: parts in `folder`/pending, quarantined ones in quarantine/`stage`-…"""

    storage: Storage
    folder: str
    stage: str

    @property
    def place(self) -> tuple[str, str]:
        """What tells sinks apart."""
        return self.storage.path(self.folder), self.stage


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """Counters of one engine since its start, or sums of them. `accepted` counts correct samples, `rows` and `solved`
    (problem, strategy) rows by strategy; `busy_s` is time in decoding steps out of `up_s` since it was ready."""

    samples: int = 0
    accepted: int = 0
    generated_tokens: int = 0
    busy_s: float = 0.0
    up_s: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)
    solved: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "EngineStats") -> "EngineStats":
        return EngineStats(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def __sub__(self, other: "EngineStats") -> "EngineStats":
        return EngineStats(**{one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)})
