"""What greedy rollouts say about a student on one data set (SIKeD, section 4)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One greedy completion: what was asked for, what was used, the verdict."""

    problem_id: str
    requested: str
    strategy: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetMetrics:
    """Accuracies over `num_problems`; a problem without a completion counts as not solved.

    `free`: the student writes its own tag. `forced`: per strategy. `oracle`: solved by any forced strategy or the
    free choice. `strategy_histogram`: share of the free completions per chosen tag, "none" without a known one.
    """

    num_problems: int
    free: float
    oracle: float
    forced: Mapping[str, float]
    strategy_histogram: Mapping[str, float]


def evaluate_dataset(
    problem_ids: Sequence[str], outcomes: Iterable[Outcome], strategies: Sequence[str]
) -> DatasetMetrics:
    """Metrics of a data set from the outcomes of its problems (others are passed over)."""
    wanted = set(problem_ids)
    outcomes = [outcome for outcome in outcomes if outcome.problem_id in wanted]
    solved: dict[str, set[str]] = {name: set() for name in (FREE, *strategies)}
    chosen: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.verdict is Verdict.CORRECT:
            solved[outcome.requested].add(outcome.problem_id)
        if outcome.requested == FREE:
            chosen[outcome.strategy] += 1
    any_strategy: set[str] = set().union(*solved.values())
    total, num_free = max(len(wanted), 1), max(chosen.total(), 1)
    return DatasetMetrics(
        num_problems=len(wanted),
        free=len(solved[FREE]) / total,
        oracle=len(any_strategy) / total,
        forced={name: len(solved[name]) / total for name in strategies},
        strategy_histogram={name: chosen[name] / num_free for name in (*strategies, "none")},
    )
