"""The loop, and when it stops."""

from typing import Annotated, Literal

from pydantic import Field

from siked_ray.core.stopping import Spent, StoppingRules
from siked_ray.settings.base import Budget, Fraction, PositiveInt, Settings


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

    def rules(self) -> StoppingRules:
        """When the loop ends, and when it goes back."""
        budget = Spent(hours=self.max_hours, gpu_hours=self.max_gpu_hours, tokens=self.max_tokens)
        return StoppingRules(
            max_iterations=self.max,
            patience=self.patience,
            min_gain=self.min_gain,
            max_drop=self.max_drop,
            max_share=self.max_share,
            budget=budget,
        )
