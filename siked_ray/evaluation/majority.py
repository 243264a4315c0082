"""Majority of k: each forced strategy votes with its answer."""

from collections.abc import Sequence

from siked_ray.core.rollout import FREE
from siked_ray.evaluation.outcomes import Answers, GradedAnswer
from siked_ray.verification.equivalence import compare_without_symbols


def majority_solves(answers: Answers, strategies: Sequence[str]) -> bool:
    """Whether the answer that most forced strategies give is correct.

    Completions without an answer do not vote. A tie goes to the answer of the strategy that the student chose freely,
    if it is among the tied ones, else to that of the first strategy.
    """
    groups: list[list[GradedAnswer]] = []
    for name in strategies:
        vote = answers.get(name)
        if vote is not None and vote.predicted is not None:
            _join(groups, vote)
    if not groups:
        return False
    most = max(len(group) for group in groups)
    tied = [group for group in groups if len(group) == most]
    chosen = answers[FREE].strategy if FREE in answers else None
    winner = next((group for group in tied if any(vote.strategy == chosen for vote in group)), tied[0])
    return winner[0].correct


def _join(groups: list[list[GradedAnswer]], vote: GradedAnswer) -> None:
    group = next((group for group in groups if _same(group[0], vote)), None)
    if group is None:
        groups.append([vote])
    else:
        group.append(vote)


def _same(one: GradedAnswer, other: GradedAnswer) -> bool:
    """Whether two answers are the same; what equals the gold answer never equals what does not."""
    if one.correct or other.correct:
        return one.correct and other.correct
    assert one.predicted is not None and other.predicted is not None, "only answers vote"
    return same_answer(one.predicted, other.predicted)


def same_answer(one: str, other: str) -> bool:
    """Whether two answers that the gold does not tell apart are the same."""
    if one.isdecimal() and other.isdecimal():
        return one.lstrip("0") == other.lstrip("0")
    comparison = compare_without_symbols(one, other)
    return comparison is not None and comparison.equal
