"""What a source of rollouts is: engines that are sampled, or rationales that exist."""

from collections.abc import Sequence
from typing import Protocol

from siked_ray.core.demand import Demand
from siked_ray.core.problem import Problem
from siked_ray.data.rationales import AnnotatedRationale
from siked_ray.generation.model_facts import ModelFacts
from siked_ray.generation.pool import EngineSpec, PoolSize
from siked_ray.settings import EngineSettings, TeacherPart


class Engines(Protocol):
    """What is sampled: engines of our own, or somebody's server."""

    @property
    def own(self) -> EngineSettings | None:
        """How many engines of our own there are, and what each is given; None for somebody's server."""

    def spec(self, max_model_len: int) -> EngineSpec:
        """How an engine is opened, for a context of so many tokens."""

    def scoring(self, max_model_len: int, top_k: int) -> EngineSpec:
        """How an engine is opened that scores texts."""

    def size(self) -> PoolSize:
        """How many there are, and what Ray reserves for each."""

    def demand(self) -> Demand:
        """The least with which there is something to sample."""


class SampledSource(Protocol):
    """A part of the teacher whose model is sampled."""

    @property
    def part(self) -> TeacherPart:
        """The strategies, and the settings of their source."""

    @property
    def engines(self) -> Engines:
        """What is sampled."""

    def check(self, *, offline_is_fine: bool) -> ModelFacts:
        """Look at the model before anything starts; raises ModelError when it cannot be sampled. What cannot be
        reached from here is no error with `offline_is_fine`: it stays unknown."""

    def cost(self, num_prompt_tokens: float, num_generated_tokens: float) -> float:
        """What is charged for so many tokens, in the currency of the prices."""


class WrittenSource(Protocol):
    """A part of the teacher whose rationales exist."""

    @property
    def part(self) -> TeacherPart:
        """The strategies, and the settings of their source."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files and Hub names that the settings give for it."""

    @property
    def shown(self) -> str:
        """Where the rationales are, for messages."""

    def rationales(self, problems: Sequence[Problem]) -> list[AnnotatedRationale]:
        """All that there are, for these problems and perhaps others; DataError for what cannot be read."""
