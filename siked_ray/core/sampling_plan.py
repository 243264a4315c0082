"""How rows are sampled, as plain values."""

from dataclasses import asdict, dataclass
from typing import Any

from siked_ray.core.margin import Margin
from siked_ray.core.reasoning import Accept


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingPlan:
    """How a row is sampled. `temperature` 0 is greedy; `keep` None draws all samples, else a row ends with so many that
    `accept` takes. With a `margin` each sample says how sure the model was."""

    num_samples: int
    ramp: tuple[int, ...]
    keep: int | None
    temperature: float
    top_p: float
    max_new_tokens: int
    accept: Accept = Accept.ANSWER
    margin: Margin | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes this plan this one, as plain values for the record; those of before have no margin."""
        values = asdict(self)
        if self.margin is None:
            del values["margin"]
        return values

    @property
    def samples_at_once(self) -> int:
        """Samples of a row that are drawn together, at first."""
        return self.num_samples if self.keep is None else min(self.ramp[0], self.num_samples)


def greedy_plan(max_new_tokens: int) -> SamplingPlan:
    """One completion at temperature 0, as in evaluation."""
    return SamplingPlan(num_samples=1, ramp=(1,), keep=None, temperature=0.0, top_p=1.0, max_new_tokens=max_new_tokens)
