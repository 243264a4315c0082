"""How well the student chooses its strategy: chosen against best, and whether a choice goes with success."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siked_ray.core.rollout import FREE
from siked_ray.evaluation.outcomes import Answers, chosen, solves

#: Stands for no known tag among the choices, and for no strategy that solves among the best ones.
NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyOfChoice:
    """Problems on which the student chose one strategy: their number, the accuracy of the free completions, and of
    every strategy forced on the same problems. A calibrated choice is the best one on the problems it is made for."""

    num_problems: int
    free: float
    forced: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """`confusion[chosen][best]` counts problems; the best strategy is the chosen one where that solves when forced,
    else the solving one with the highest forced accuracy on the data set, `none` where no strategy solves.
    `accuracy`: of the problems that some forced strategy solves, the share whose chosen one does (None without any)."""

    accuracy: float | None
    confusion: Mapping[str, Mapping[str, int]]
    by_choice: Mapping[str, AccuracyOfChoice]


def examine_choices(problems: Sequence[Answers], strategies: Sequence[str]) -> Choices:
    """What the free completions chose, held against the forced ones."""
    forced = {name: sum(solves(answers, name) for answers in problems) for name in strategies}
    ranked = sorted(strategies, key=lambda name: -forced[name])
    names = [*strategies, NONE]
    pairs = Counter((picked, _best(answers, picked, ranked)) for answers in problems if (picked := chosen(answers)))
    solvable = sum(count for (_, best), count in pairs.items() if best != NONE)
    right = sum(pairs[name, name] for name in strategies)
    return Choices(
        accuracy=right / solvable if solvable else None,
        confusion={one: {best: pairs[one, best] for best in names} for one in names},
        by_choice={
            name: _accuracies([answers for answers in problems if chosen(answers) == name], strategies)
            for name in strategies
        },
    )


def _best(answers: Answers, picked: str, ranked: Sequence[str]) -> str:
    if solves(answers, picked):
        return picked
    return next((name for name in ranked if solves(answers, name)), NONE)


def _accuracies(problems: Sequence[Answers], strategies: Sequence[str]) -> AccuracyOfChoice:
    total = max(len(problems), 1)
    return AccuracyOfChoice(
        num_problems=len(problems),
        free=sum(solves(answers, FREE) for answers in problems) / total,
        forced={name: sum(solves(answers, name) for answers in problems) / total for name in strategies},
    )
