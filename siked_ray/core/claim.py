"""What a recipe ends in: sentences "A beats B by x points [lo, hi]" that a paired test has checked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from siked_ray.core.intervals import compare_counts
from siked_ray.core.problem import Split
from siked_ray.core.stage import TWIN, Kind, StageId


class Record(Protocol):
    """What the ledger says of a stage that is committed."""

    @property
    def id(self) -> StageId: ...

    @property
    def metrics(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """`one` against `other` on the same problems: the difference of their accuracies, its 95 % interval, and the
    two-sided p of a paired `test`."""

    one: str
    other: str
    problem_set: str
    num_problems: int
    difference: float
    interval: tuple[float, float]
    p_value: float
    test: str = "McNemar"

    @property
    def holds(self) -> bool:
        """Whether one of them is better: the interval does not have 0 in it."""
        low, high = self.interval
        return low > 0 or high < 0

    @property
    def sentence(self) -> str:
        """For the report, in points of a hundred."""
        low, high = (_signed(bound) for bound in self.interval)
        size = f"[{low}, {high}] on {self.num_problems:,} problems of {self.problem_set}"
        if not self.holds:
            return f"{self.one} and {self.other} cannot be told apart: {_signed(self.difference)} points {size}"
        word = "beats" if self.difference > 0 else "is worse than"
        return f"{self.one} {word} {self.other} by {abs(100 * self.difference):.1f} points {size}"

    @property
    def values(self) -> dict[str, Any]:
        """For the summary."""
        return {**asdict(self), "holds": self.holds, "sentence": self.sentence}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain(Claim):
    """What a loop gained over its twin."""

    @property
    def sentence(self) -> str:
        low, high = (_signed(bound) for bound in self.interval)
        verdict = ("shown" if self.difference > 0 else "the loop did worse") if self.holds else "not shown"
        return (
            f"{self.one} gained {_signed(self.difference)} points ({low} to {high}) over {self.other}, on "
            f"{self.num_problems:,} problems of {self.problem_set}: {verdict}"
        )


def claims_of(figures: Mapping[str, Mapping[str, Any]], one: str, other: str, label: str) -> list[Claim]:
    """What the figures of `one`, by problem set, say of it against `other`, which they call `label` under "paired";
    of problem sets that have no such comparison nothing."""
    return [
        Claim(
            one=one,
            other=other,
            problem_set=problem_set,
            num_problems=paired["num_problems"],
            difference=paired["difference"],
            interval=tuple(paired["interval"]),
            p_value=paired["p_value"],
        )
        for problem_set, metrics in figures.items()
        if (paired := metrics.get("paired", {}).get(label))
    ]


def gains_of_the_loop(records: Sequence[Record]) -> list[Claim]:
    """Whether iterations were worth it: the best one, or the last where that is iteration 0, against iteration 0. On
    the held-out problems, which chose the best one, only where there are no others."""
    decisions = [one.metrics for one in records if one.id.kind is Kind.DECISION]
    measured = [one for one in records if one.id.kind in (Kind.EVALUATION, Kind.TESTS) and one.id.iteration is not None]
    if not decisions or not measured:
        return []
    iteration = decisions[-1]["best_iteration"] or max(one.id.iteration or 0 for one in measured)
    figures = {name: found for one in measured if one.id.iteration == iteration for name, found in one.metrics.items()}
    tests = {name: found for name, found in figures.items() if name != Split.VALIDATION.value}
    return claims_of(tests or figures, f"iteration {iteration}", "iteration 0", "iteration_0")


def gain_over_twin(records: Sequence[Record]) -> Gain | None:
    """The loop against its twin on all problems that select nothing, on the held-out ones where there are no others;
    None without a twin."""
    training = next((one for one in records if one.id == TWIN), None)
    of_twin = [one for one in records if one.id.label == TWIN.label and one.id.kind in (Kind.EVALUATION, Kind.TESTS)]
    figures = {name: found for one in of_twin for name, found in one.metrics.items()}
    tests = {name: found for name, found in figures.items() if name != Split.VALIDATION.value} or figures
    compared = {name: found["paired"]["loop"] for name, found in tests.items() if "loop" in found.get("paired", {})}
    if training is None or not compared:
        return None
    # What the twin lost is what the loop gained.
    num_problems, gained, lost = (
        sum(one[count] for one in compared.values()) for count in ("num_problems", "lost", "gained")
    )
    paired = compare_counts(num_problems, gained, lost)
    return Gain(
        one="The loop",
        other=f"training as long on the teacher's rows ({training.metrics['steps']:,} steps)",
        problem_set=" + ".join(compared),
        num_problems=num_problems,
        difference=paired.difference,
        interval=paired.interval,
        p_value=paired.p_value,
    )


def _signed(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−")
