"""What an iteration trains on."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from siked_ray.core.mixture import MixtureRules, Policy
from siked_ray.settings.base import ADDED, Fraction, NonNegative, Settings


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

    wrong: Annotated[Literal["drop", "teacher_kl"], ADDED] = Field(
        default="drop",
        description="The student's own wrong solutions, the first of each (problem, strategy): `teacher_kl` corrects "
        "them by the teacher's probabilities (docs/distillation.md).",
    )
    wrong_weight: Annotated[NonNegative, ADDED] = Field(
        default=1.0, description="`teacher_kl`: weight of the divergence on a token of a wrong solution."
    )
    divergence_threshold: Annotated[NonNegative | None, ADDED] = Field(
        default=None, description="`teacher_kl`: from the first token on at which teacher and student are so far apart."
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

    def correction(self) -> dict[str, Any]:
        """What an objective does with wrong solutions; nothing where they are dropped."""
        if self.wrong == "drop":
            return {}
        return {"wrong_weight": self.wrong_weight, "divergence_threshold": self.divergence_threshold}

    def rules(self) -> MixtureRules:
        """The parameters of the policies."""
        return MixtureRules(
            policy=self.policy, order=tuple(self.order), alphas=tuple(self.alphas), kl_bound=self.kl_bound
        )
