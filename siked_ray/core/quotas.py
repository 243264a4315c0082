"""How many rows of teacher and student give a wanted share α, or stay within a divergence: counts in, counts out."""

import math
from collections.abc import Mapping

Counts = Mapping[str, int]

#: Quotients such as 3 / 0.6 fall a little short of the whole number that they are.
_ROUNDING = 1e-9


def shares(counts: Counts) -> dict[str, float]:
    """P(strategy); all zero without rows."""
    total = sum(counts.values())
    return {name: number / total if total else 0.0 for name, number in counts.items()}


def kl_divergence(p: Mapping[str, float], q: Mapping[str, float], *, floor: float = 1e-6) -> float:
    """KL(P ‖ Q) = Σ P(s) ln(P(s) / Q(s)) in nats; Q is floored so that an unused strategy stays finite."""
    return sum(share * math.log(share / max(q.get(name, 0.0), floor)) for name, share in p.items() if share > 0)


def apportion(counts: Counts, num_rows: int) -> dict[str, int]:
    """`num_rows` ≤ Σ counts spread over the strategies in proportion to the counts, by largest remainders."""
    total = sum(counts.values())
    assert 0 <= num_rows <= total, f"{num_rows} rows of {total}"
    if not total:
        return dict(counts)
    rows = {name: number * num_rows // total for name, number in counts.items()}
    by_remainder = sorted(counts, key=lambda name: (-(counts[name] * num_rows % total), name))
    for name in by_remainder[: num_rows - sum(rows.values())]:
        rows[name] += 1
    return rows


def rows_at_alpha(alpha: float, teacher: Counts, student: Counts) -> tuple[dict[str, int], dict[str, int]]:
    """Most rows of teacher and student, by strategy, of which the teacher's are the share α (to the nearest row)."""
    num_teacher, num_student = sum(teacher.values()), sum(student.values())
    from_teacher = num_teacher / alpha if alpha > 0 else math.inf
    from_student = num_student / (1 - alpha) if alpha < 1 else math.inf
    num_rows = math.floor(min(from_teacher, from_student) + _ROUNDING)
    num_teacher = min(round(alpha * num_rows), num_teacher)
    return apportion(teacher, num_teacher), apportion(student, min(num_rows - num_teacher, num_student))


def teacher_rows_within_kl(bound: float, teacher: Counts, student: Counts) -> tuple[dict[str, int], float]:
    """Most teacher rows, by strategy, that keep KL(P_train ‖ P_student) ≤ bound, and the KL that they give.

    P_train holds all of the student's rows and a part of the teacher's, which keeps the teacher's shares. The KL grows
    with that part (docs/method-decisions.md), so the largest one is found by bisection over whole rows; none always
    fits, because P_train is P_student then.
    """

    def divergence(num_rows: int) -> float:
        added = apportion(teacher, num_rows)
        return kl_divergence(shares({name: student.get(name, 0) + n for name, n in added.items()} | _rest(added)), own)

    def _rest(added: Counts) -> dict[str, int]:
        return {name: number for name, number in student.items() if name not in added}

    own = shares(student)
    fits, too_many = 0, sum(teacher.values()) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if divergence(middle) <= bound:
            fits = middle
        else:
            too_many = middle
    return apportion(teacher, fits), divergence(fits)
