"""Measuring the student."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from siked_ray.core.sampling_plan import SamplingPlan, greedy_plan
from siked_ray.settings.base import ADDED, PositiveInt, Settings


class EvaluationSettings(Settings):
    """Greedy evaluation (T = 0) of the student, free and forced, on the held-out split after every iteration; and with
    `samples` several free completions of each problem at T > 0 beside it."""

    max_new_tokens: PositiveInt = Field(default=1024, description="Tokens per completion; longer ones never count.")
    test_sets: Literal["every_iteration", "end"] = Field(
        default="every_iteration",
        description="`end`: iteration 0 and the best one alone, after the loop.",
    )
    samples: Annotated[Annotated[int, Field(ge=2, le=1000)] | None, ADDED] = Field(
        default=None,
        description="K: free completions of each problem at T > 0, for pass@k, their mean and the majority of k.",
    )
    temperature: Annotated[float, Field(gt=0), ADDED] = Field(default=0.7, description="T of these K samples.")
    top_p: Annotated[float, Field(gt=0, le=1), ADDED] = Field(default=0.95, description="Nucleus of these K samples.")
    ks: Annotated[list[PositiveInt] | None, ADDED] = Field(
        default=None, description="Which k are reported, each up to K; by default the powers of two and K."
    )

    @model_validator(mode="after")
    def _ks_are_samples(self) -> "EvaluationSettings":
        if self.ks and self.samples is None:
            raise ValueError("ks says which k of the K samples are reported, and samples is not set; set it to K")
        if self.ks and self.samples and max(self.ks) > self.samples:
            raise ValueError(f"ks has {max(self.ks)}, and there are {self.samples} samples; set samples to as many")
        return self

    def plan(self) -> SamplingPlan:
        """One greedy completion per request."""
        return greedy_plan(self.max_new_tokens)

    def sampled_plan(self) -> SamplingPlan | None:
        """K samples per request; None where only greedy completions are wanted."""
        if self.samples is None:
            return None
        return SamplingPlan(
            num_samples=self.samples,
            ramp=(1,),
            keep=None,
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
        )
