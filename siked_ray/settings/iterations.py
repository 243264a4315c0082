"""The loop: sampling, mixture, when to stop, evaluation."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from siked_ray.core.mixture import Policy
from siked_ray.settings.base import Budget, Fraction, PositiveInt, Settings


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


class EvaluationSettings(Settings):
    """Greedy evaluation (T = 0) of the student, free and forced, on the held-out split after every iteration."""

    max_new_tokens: PositiveInt = Field(default=1024, description="Tokens per completion; longer ones never count.")
    test_sets: Literal["every_iteration", "end"] = Field(
        default="every_iteration",
        description="`end`: iteration 0 and the best one alone, after the loop.",
    )
