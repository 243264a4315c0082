"""What becomes of a row of requests: its samples, or the reason why there are none."""

from dataclasses import dataclass

from siked_ray.core.rollout import Rollout
from siked_ray.generation.task import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A row that cannot be sampled, and why."""

    problem_id: str
    requested: str
    ask_id: str
    reason: str

    @classmethod
    def of(cls, row: Row, reason: str) -> "Quarantined":
        """A row, by its ids."""
        return cls(problem_id=row["problem_id"], requested=row["requested"], ask_id=row["ask_id"], reason=reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRow:
    """A finished row: all the samples that were drawn, in the order of their indices."""

    row: Row
    rollouts: tuple[Rollout, ...]


def not_sampled(row: Row, reason: str) -> Quarantined | SampledRow:
    """A row that cannot be sampled. Where its tag alone was wanted it is nothing yet: the whole response is asked for
    then, and says so itself."""
    return Quarantined.of(row, reason) if row["tags"] is None else SampledRow(row=row, rollouts=())
