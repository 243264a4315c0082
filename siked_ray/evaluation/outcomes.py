"""Greedy completions of a data set, by problem and by what was asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class GradedAnswer:
    """One greedy completion: what was asked for (a strategy or FREE), what was used, the answer, the verdict."""

    problem_id: str
    requested: str
    strategy: str
    verdict: Verdict
    predicted: str | None = None

    @property
    def correct(self) -> bool:
        return self.verdict is Verdict.CORRECT


#: Outcomes of one problem by what was asked for.
Answers = Mapping[str, GradedAnswer]


def by_problem(problem_ids: Sequence[str], outcomes: Iterable[GradedAnswer]) -> list[Answers]:
    """The answers to each problem, sorted by its id; outcomes of other problems are passed over."""
    found: dict[str, dict[str, GradedAnswer]] = {problem: {} for problem in sorted(set(problem_ids))}
    for outcome in outcomes:
        if outcome.problem_id in found:
            found[outcome.problem_id][outcome.requested] = outcome
    return list(found.values())


def solves(answers: Answers, requested: str) -> bool:
    """Whether the completion that was asked for is correct; one that is missing is not."""
    return requested in answers and answers[requested].correct


def chosen(answers: Answers) -> str | None:
    """The strategy that the student chose when it was free; None without a free completion."""
    return answers[FREE].strategy if FREE in answers else None
