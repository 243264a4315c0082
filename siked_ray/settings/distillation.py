"""How far a student is held to its teacher's probabilities."""

from typing import Annotated

from pydantic import Field

from siked_ray.settings.base import Fraction, NonNegative, Settings


class DistillationSettings(Settings):
    """For objectives that hold the student against its teacher, token by token (arXiv 2407.19409, 2306.13649)."""

    weight: NonNegative = Field(default=1.0, description="Weight of the divergence, or of `hidden_mse`.")
    cross_entropy_weight: NonNegative = Field(default=1.0, description="Weight of cross-entropy beside it.")
    temperature: Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="τ of both distributions; the divergence counts τ² times. Not for `teacher.logprobs`."
    )
    beta: Fraction = Field(
        default=0.5, description="`jsd`: the teacher's share of the mixture; 0 is forward KL, 1 reverse KL."
    )

    def options(self, objective: str) -> dict[str, float]:
        """The parameters of an objective, as plain values."""
        weights = {"weight": self.weight, "cross_entropy_weight": self.cross_entropy_weight}
        if objective == "hidden_mse":
            return weights
        own = {"beta": self.beta} if objective == "jsd" else {}
        return weights | {"temperature": self.temperature} | own
