"""Measuring the student."""

from typing import Literal

from pydantic import Field

from siked_ray.core.sampling_plan import SamplingPlan, greedy_plan
from siked_ray.settings.base import PositiveInt, Settings


class EvaluationSettings(Settings):
    """Greedy evaluation (T = 0) of the student, free and forced, on the held-out split after every iteration."""

    max_new_tokens: PositiveInt = Field(default=1024, description="Tokens per completion; longer ones never count.")
    test_sets: Literal["every_iteration", "end"] = Field(
        default="every_iteration",
        description="`end`: iteration 0 and the best one alone, after the loop.",
    )

    def plan(self) -> SamplingPlan:
        """One greedy completion per request."""
        return greedy_plan(self.max_new_tokens)
