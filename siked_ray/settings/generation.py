"""Sampling for training."""

from typing import Annotated, Literal

from pydantic import Field

from siked_ray.core.reasoning import Accept
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.settings.base import ADDED, PositiveInt, Settings


class GenerationSettings(Settings):
    """Sampling from teacher and student, and what is kept of it."""

    num_samples: PositiveInt = Field(default=10, description="K: samples per (problem, strategy) at most.")
    keep: PositiveInt | Literal["all"] = Field(
        default=1, description="Stop a (problem, strategy) at its k-th sample that `accept` takes; `all` draws all K."
    )
    accept: Annotated[Accept, ADDED] = Field(
        default=Accept.ANSWER,
        description="`answer`: keep correct samples; `sound`: only those without a false step that reach their answer.",
    )
    ramp: list[PositiveInt] = Field(
        default=[1, 1, 2, 3, 3], description="Samples drawn at once, attempt after attempt; the last one repeats."
    )
    temperature: Annotated[float, Field(gt=0)] = Field(default=0.7, description="T of sampling.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(default=0.95, description="Nucleus of sampling.")
    max_new_tokens: PositiveInt = Field(default=512, description="Tokens per completion; longer ones never count.")
    program_timeout_s: Annotated[float, Field(gt=0)] = Field(default=1.0, description="Deadline of a PoT program.")

    def plan(self) -> SamplingPlan:
        """How teacher and student are sampled for training."""
        return SamplingPlan(
            num_samples=self.num_samples,
            ramp=tuple(self.ramp),
            keep=None if self.keep == "all" else self.keep,
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            accept=self.accept,
        )
