"""Accuracies by the level, grade or type of the problems."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from siked_ray.core.intervals import bootstrap_interval
from siked_ray.core.rollout import FREE
from siked_ray.evaluation.outcomes import GradedAnswer, by_problem, solves

#: Of problems whose source says nothing.
NOT_GIVEN = "not given"


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelMetrics:
    """Accuracies on the problems of one level; `interval` is the 95 % one of the free accuracy."""

    num_problems: int
    free: float
    interval: tuple[float, float]
    forced: Mapping[str, float]


def evaluate_levels(
    levels: Mapping[str, str | None], outcomes: Iterable[GradedAnswer], strategies: Sequence[str]
) -> dict[str, LevelMetrics]:
    """By level, in their order, from the levels of the problems by their ids; nothing where there are not two."""
    groups: dict[str, list[str]] = {}
    for problem, level in levels.items():
        groups.setdefault(level or NOT_GIVEN, []).append(problem)
    if len(groups) < 2:
        return {}
    graded = list(outcomes)
    return {level: _on(groups[level], graded, strategies) for level in sorted(groups, key=_order)}


def _on(problems: Sequence[str], outcomes: Sequence[GradedAnswer], strategies: Sequence[str]) -> LevelMetrics:
    answers = by_problem(problems, outcomes)
    solved = {name: [solves(one, name) for one in answers] for name in (FREE, *strategies)}
    return LevelMetrics(
        num_problems=len(answers),
        free=sum(solved[FREE]) / len(answers),
        interval=bootstrap_interval(solved[FREE]),
        forced={name: sum(solved[name]) / len(answers) for name in strategies},
    )


def _order(level: str) -> tuple[bool, list[tuple[int, str]]]:
    """Numbers in a text by their size, so that grade 10 comes after grade 9; what is not given comes last."""
    parts = re.findall(r"\d+|\D+", level)
    return level == NOT_GIVEN, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
