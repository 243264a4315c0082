"""Mixture policies: which rationales an iteration trains on (SIKeD, section 3; "mixed" in the authors' scripts).

Let S^s be the student's kept rows for strategy s over problems Q_S^s, L^s the teacher's over Q_L^s, at most one row per
(problem, strategy) each. A policy is a pure function of the numbers of kept rows; it returns a `Selection`, the rule by
which rows are taken, with the reason. `siked_ray.core.mixture_rule` applies it to tables of any size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from siked_ray.core.quotas import rows_at_alpha, teacher_rows_within_kl


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
    BIASED = "biased"
    BY_PROBLEM = "by_problem"
    BEST_STRATEGY = "best_strategy"
    FIXED_ALPHA = "fixed_alpha"
    KL_TARGET = "kl_target"


#: Policies that never keep both the teacher's and the student's row of a (problem, strategy); any other may.
ONE_ROW_EACH = frozenset(
    {
        Policy.ADAPTIVE,
        Policy.SELF_ONLY,
        Policy.TEACHER_ONLY,
        Policy.BIASED,
        Policy.BY_PROBLEM,
        Policy.BEST_STRATEGY,
    }
)


class TeacherRows(StrEnum):
    """Which of the teacher's kept rows are candidates: none, those of (problem, strategy) without a row of the
    student's, those of problems without any row of the student's, or all."""

    NONE = "none"
    UNSOLVED = "unsolved"
    UNSOLVED_PROBLEMS = "unsolved_problems"
    ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptCounts:
    """Numbers of kept rows by strategy."""

    teacher: Mapping[str, int]
    student: Mapping[str, int]

    @property
    def num_teacher(self) -> int:
        return sum(self.teacher.values())

    @property
    def num_student(self) -> int:
        return sum(self.student.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The rows to take. Candidates are the student's rows where `student` is set, and the teacher's that
    `teacher` names. With an `order` of strategies only the first of each problem in that order stays (the student's
    before the teacher's); with `best_strategies` only the student's rows of the strategies that it solves the problem
    with most often. `quotas` bounds the rows by source and strategy: the teacher's for what the student has not
    solved come first, then the lower request id, which is a hash and so a draw that never changes.
    """

    teacher: TeacherRows
    student: bool
    reason: str
    order: tuple[str, ...] = ()
    best_strategies: bool = False
    quotas: Mapping[Source, Mapping[str, int]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureRules:
    """Parameters of the policies that have some. `alphas[i]` is for iteration i + 1, the last one for all later ones;
    `kl_bound` is in nats."""

    policy: Policy
    order: tuple[str, ...] = ()
    alphas: tuple[float, ...] = ()
    kl_bound: float | None = None


def adaptive(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """D^s = S^s ∪ {L^s(q) : q ∉ Q_S^s}: the teacher only where the student has nothing of its own."""
    return Selection(teacher=TeacherRows.UNSOLVED, student=True, reason="the teacher's where the student has none")


def union(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """D^s = S^s ∪ L^s."""
    return Selection(teacher=TeacherRows.ALL, student=True, reason="all rows of both")


def self_only(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """D^s = S^s."""
    return Selection(teacher=TeacherRows.NONE, student=True, reason="the student's rows alone")


def teacher_only(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """D^s = L^s: plain distillation, which is also what iteration 0 does."""
    return Selection(teacher=TeacherRows.ALL, student=False, reason="the teacher's rows alone")


def biased(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """One row per problem out of S ∪ L: that of the first strategy in `rules.order`, the student's if both have it."""
    reason = f"one row per problem, by {' > '.join(rules.order)}"
    return Selection(teacher=TeacherRows.UNSOLVED, student=True, order=rules.order, reason=reason)


def by_problem(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """D = S ∪ {L^s(q) : q ∉ ⋃ Q_S}: the teacher only for problems that the student solves with no strategy."""
    reason = "the teacher's for problems that the student does not solve"
    return Selection(teacher=TeacherRows.UNSOLVED_PROBLEMS, student=True, reason=reason)


def best_strategy(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """As `by_problem`, and of the student's rows of a problem only those of the strategies with the most successes."""
    reason = "own rows of each problem's most successful strategies, the teacher's where none succeeds"
    return Selection(teacher=TeacherRows.UNSOLVED_PROBLEMS, student=True, best_strategies=True, reason=reason)


def fixed_alpha(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """The largest D with the teacher's share α of this iteration; each source keeps its shares of the strategies."""
    if not counts.num_student:
        return _nothing_of_its_own()
    alpha = rules.alphas[min(iteration, len(rules.alphas)) - 1]
    teacher, student = rows_at_alpha(alpha, counts.teacher, counts.student)
    reason = f"α = {alpha:g} is set for iteration {iteration}"
    quotas = {Source.TEACHER: teacher, Source.STUDENT: student}
    return Selection(teacher=TeacherRows.ALL, student=True, quotas=quotas, reason=reason)


def kl_target(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """All of S and as many of L as keep KL(P_train ‖ P_student) over strategies within `rules.kl_bound`
    (docs/method-decisions.md has the derivation)."""
    assert rules.kl_bound is not None, "settings with policy kl_target have a bound"
    if not counts.num_student:
        return _nothing_of_its_own()
    teacher, divergence = teacher_rows_within_kl(rules.kl_bound, counts.teacher, counts.student)
    num_teacher = sum(teacher.values())
    alpha = num_teacher / (num_teacher + counts.num_student)
    reason = (
        f"α = {alpha:.4f}: {num_teacher} of {counts.num_teacher} teacher rows keep the KL at {divergence:.4f}, "
        f"of at most {rules.kl_bound:g}"
    )
    quotas = {Source.TEACHER: teacher, Source.STUDENT: dict(counts.student)}
    return Selection(teacher=TeacherRows.ALL, student=True, quotas=quotas, reason=reason)


def _nothing_of_its_own() -> Selection:
    return Selection(
        teacher=TeacherRows.ALL,
        student=True,
        reason="the student solved nothing, so the teacher's rows are all there is",
    )


_POLICIES: Mapping[Policy, Callable[[KeptCounts, MixtureRules, int], Selection]] = {
    Policy.ADAPTIVE: adaptive,
    Policy.ALL: union,
    Policy.SELF_ONLY: self_only,
    Policy.TEACHER_ONLY: teacher_only,
    Policy.BIASED: biased,
    Policy.BY_PROBLEM: by_problem,
    Policy.BEST_STRATEGY: best_strategy,
    Policy.FIXED_ALPHA: fixed_alpha,
    Policy.KL_TARGET: kl_target,
}


def select(counts: KeptCounts, rules: MixtureRules, iteration: int) -> Selection:
    """What an iteration (1 or later) trains on."""
    assert iteration > 0, "iteration 0 is plain distillation"
    return _POLICIES[rules.policy](counts, rules, iteration)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCounts:
    """Rows by source and the teacher's share α = teacher rows / all rows (None of an empty set)."""

    teacher_rows: int
    student_rows: int

    @property
    def rows(self) -> int:
        return self.teacher_rows + self.student_rows

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


def count_sources(counts: KeptCounts, strategies: Sequence[str]) -> SourceCounts:
    """Rows of these strategies by source."""
    return SourceCounts(
        teacher_rows=sum(counts.teacher.get(name, 0) for name in strategies),
        student_rows=sum(counts.student.get(name, 0) for name in strategies),
    )
