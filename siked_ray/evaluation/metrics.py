"""What greedy rollouts say about a student on one data set (SIKeD, section 4)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from siked_ray.core.intervals import Paired, bootstrap_interval, compare
from siked_ray.core.rollout import FREE
from siked_ray.evaluation.choice import NONE, Choices, examine_choices
from siked_ray.evaluation.majority import majority_solves
from siked_ray.evaluation.outcomes import GradedAnswer, by_problem, chosen, solves


@dataclass(frozen=True, kw_only=True, slots=True)
class Intervals:
    """95 % bootstrap intervals over problems of the accuracies of the same names."""

    free: tuple[float, float]
    oracle: tuple[float, float]
    majority: tuple[float, float]
    forced: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetMetrics:
    """Accuracies over `num_problems`; a problem without a completion counts as not solved.

    `free`: the student writes its own tag. `forced`: per strategy. `oracle`: solved by any forced strategy or the
    free choice. `majority`: the answer of most forced strategies. `strategy_histogram`: share of the free completions
    per chosen tag, "none" without a known one.
    """

    num_problems: int
    free: float
    oracle: float
    majority: float
    forced: Mapping[str, float]
    strategy_histogram: Mapping[str, float]
    intervals: Intervals
    choices: Choices


def evaluate_dataset(
    problem_ids: Sequence[str], outcomes: Iterable[GradedAnswer], strategies: Sequence[str]
) -> DatasetMetrics:
    """Metrics of a data set from the outcomes of its problems (others are passed over)."""
    problems = by_problem(problem_ids, outcomes)
    free = [solves(answers, FREE) for answers in problems]
    oracle = [any(one.correct for one in answers.values()) for answers in problems]
    majority = [majority_solves(answers, strategies) for answers in problems]
    forced = {name: [solves(answers, name) for answers in problems] for name in strategies}
    picked = Counter(name for answers in problems if (name := chosen(answers)))
    num_free = max(picked.total(), 1)
    return DatasetMetrics(
        num_problems=len(problems),
        free=_share(free),
        oracle=_share(oracle),
        majority=_share(majority),
        forced={name: _share(solved) for name, solved in forced.items()},
        strategy_histogram={name: picked[name] / num_free for name in (*strategies, NONE)},
        intervals=Intervals(
            free=bootstrap_interval(free),
            oracle=bootstrap_interval(oracle),
            majority=bootstrap_interval(majority),
            forced={name: bootstrap_interval(solved) for name, solved in forced.items()},
        ),
        choices=examine_choices(problems, strategies),
    )


def compare_answers(
    problem_ids: Sequence[str], before: Iterable[GradedAnswer], after: Iterable[GradedAnswer], requested: str = FREE
) -> Paired:
    """The free completions of two students on the same problems, or those of a strategy."""
    return compare(
        [solves(answers, requested) for answers in by_problem(problem_ids, before)],
        [solves(answers, requested) for answers in by_problem(problem_ids, after)],
    )


def _share(solved: Sequence[bool]) -> float:
    return sum(solved) / max(len(solved), 1)
