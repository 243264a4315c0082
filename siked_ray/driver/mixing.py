"""Kept rows out of rollouts, and the mixture table out of kept rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from siked_ray.core.mixture import (
    POLICIES,
    MixtureRow,
    Policy,
    Source,
    count_sources,
    kl_divergence,
    mixture_sha256,
    strategy_shares,
)
from siked_ray.core.prompts import PromptTemplates, student_prompt, student_response
from siked_ray.core.verdict import Verdict

#: Columns of the rollouts that a mixture is made of.
COLUMNS = ["request_id", "problem_id", "strategy", "sample_index", "completion", "verdict"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The first correct rollout of each (problem, strategy) of one source, with their rationales."""

    rows: tuple[MixtureRow, ...]
    rationales: Mapping[str, str]


def keep_first_correct(rollouts: Iterable[Mapping[str, Any]], source: Source) -> Kept:
    """ "Any at K": per (problem, strategy) the correct rollout of the lowest sample index, whenever it finished."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for rollout in rollouts:
        if rollout["verdict"] != Verdict.CORRECT:
            continue
        key = (rollout["problem_id"], rollout["strategy"])
        if key not in first or rollout["sample_index"] < first[key]["sample_index"]:
            first[key] = rollout
    rows = sorted(
        MixtureRow(strategy=strategy, problem_id=problem, source=source, request_id=rollout["request_id"])
        for (problem, strategy), rollout in first.items()
    )
    return Kept(rows=tuple(rows), rationales={r["request_id"]: r["completion"] for r in first.values()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """A mixture: its rows in the training table's columns, and the counts that go to the summary."""

    table_rows: list[dict[str, str]]
    counts: dict[str, Any]
    kl_mixture_student: float | None


def mix(
    policy: Policy,
    teacher: Kept,
    student: Kept | None,
    questions: Mapping[str, str],
    strategies: Sequence[str],
    templates: PromptTemplates,
) -> Mixed:
    """Apply a policy. Without a student's rows (iteration 0) it is plain distillation, whatever the policy."""
    if student is None:
        policy, student = Policy.TEACHER_ONLY, Kept(rows=(), rationales={})
    rows = POLICIES[policy](teacher.rows, student.rows)
    rationales = {Source.TEACHER: teacher.rationales, Source.STUDENT: student.rationales}
    shares = strategy_shares(rows, strategies)
    student_shares = strategy_shares(student.rows, strategies)
    return Mixed(
        table_rows=[
            {
                "problem_id": row.problem_id,
                "strategy": row.strategy,
                "source": row.source.value,
                "prompt": student_prompt(templates, questions[row.problem_id]),
                "response": student_response(row.strategy, rationales[row.source][row.request_id]),
                "request_id": row.request_id,
            }
            for row in rows
        ],
        counts={
            "policy": policy.value,
            **count_sources(rows).as_dict(),
            "by_strategy": {
                name: count_sources(row for row in rows if row.strategy == name).as_dict() for name in strategies
            },
            "sha256": mixture_sha256(rows),
        },
        kl_mixture_student=kl_divergence(shares, student_shares) if student.rows else None,
    )
