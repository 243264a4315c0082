"""Mixture policies: which rationales an iteration trains on (SIKeD, section 3; "mixed" in the authors' scripts).

Let S^s be the student's kept rows for strategy s over problems Q_S^s, L^s the teacher's over Q_L^s.
A policy maps (teacher rows, student rows) to the training rows D = ∪_s D^s. Inputs hold at most one row
per (problem, strategy); the output is sorted by (strategy, problem, source), so it never depends on arrival.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from siked_ray.core.ids import content_hash


class Source(StrEnum):
    """Who wrote a rationale."""

    STUDENT = "student"
    TEACHER = "teacher"


class Policy(StrEnum):
    """Names of the mixture policies, as they stand in the settings."""

    ADAPTIVE = "adaptive"
    ALL = "all"
    SELF_ONLY = "self_only"
    TEACHER_ONLY = "teacher_only"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class MixtureRow:
    """Key of one training row: a kept rationale of `source` for (problem, strategy)."""

    strategy: str
    problem_id: str
    source: Source
    request_id: str


Rows = Sequence[MixtureRow]


def adaptive(teacher: Rows, student: Rows) -> list[MixtureRow]:
    """D^s = S^s ∪ {L^s(q) : q ∉ Q_S^s}: the teacher only where the student has nothing of its own."""
    solved = {(row.strategy, row.problem_id) for row in student}
    return sorted([*student, *(row for row in teacher if (row.strategy, row.problem_id) not in solved)])


def union(teacher: Rows, student: Rows) -> list[MixtureRow]:
    """D^s = S^s ∪ L^s."""
    return sorted([*student, *teacher])


def self_only(teacher: Rows, student: Rows) -> list[MixtureRow]:
    """D^s = S^s."""
    return sorted(student)


def teacher_only(teacher: Rows, student: Rows) -> list[MixtureRow]:
    """D^s = L^s: plain distillation, which is also what iteration 0 does."""
    return sorted(teacher)


POLICIES: Mapping[Policy, Callable[[Rows, Rows], list[MixtureRow]]] = {
    Policy.ADAPTIVE: adaptive,
    Policy.ALL: union,
    Policy.SELF_ONLY: self_only,
    Policy.TEACHER_ONLY: teacher_only,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCounts:
    """Rows by source and the teacher's share α = teacher rows / all rows (None of an empty set)."""

    rows: int
    teacher_rows: int
    student_rows: int

    @property
    def alpha(self) -> float | None:
        return self.teacher_rows / self.rows if self.rows else None

    def as_dict(self) -> dict[str, int | float | None]:
        return {
            "rows": self.rows,
            "teacher_rows": self.teacher_rows,
            "student_rows": self.student_rows,
            "alpha": self.alpha,
        }


def count_sources(rows: Iterable[MixtureRow]) -> SourceCounts:
    """Counts of rows by source."""
    by_source = Counter(row.source for row in rows)
    return SourceCounts(
        rows=by_source.total(), teacher_rows=by_source[Source.TEACHER], student_rows=by_source[Source.STUDENT]
    )


def strategy_shares(rows: Iterable[MixtureRow], strategies: Sequence[str]) -> dict[str, float]:
    """P(strategy) over the rows; all zero without rows."""
    counts = Counter(row.strategy for row in rows)
    return {name: counts[name] / counts.total() if counts else 0.0 for name in strategies}


def kl_divergence(p: Mapping[str, float], q: Mapping[str, float], *, floor: float = 1e-6) -> float:
    """KL(P ‖ Q) = Σ P(s) ln(P(s) / Q(s)) in nats; Q is floored so that an unused strategy stays finite."""
    return sum(share * math.log(share / max(q.get(name, 0.0), floor)) for name, share in p.items() if share > 0)


def mixture_sha256(rows: Iterable[MixtureRow]) -> str:
    """SHA-256 of the sorted row ids: two mixtures with this hash train on the same rows."""
    keys = sorted(f"{row.source}:{row.request_id}:{row.strategy}" for row in rows)
    return content_hash(*keys, num_chars=64)
