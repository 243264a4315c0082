import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.quotas import apportion, kl_divergence, rows_at_alpha, shares, teacher_rows_within_kl

COUNTS = st.fixed_dictionaries({name: st.integers(0, 40) for name in ("cot", "l2m", "pot")})


def test_kl_by_hand():
    p, q = {"cot": 0.75, "pot": 0.25}, {"cot": 0.5, "pot": 0.5}
    assert kl_divergence(p, q) == pytest.approx(0.130812, abs=1e-6)
    assert kl_divergence(q, p) == pytest.approx(0.143841, abs=1e-6)
    assert kl_divergence(p, p) == 0


def test_kl_stays_finite_where_the_student_never_uses_a_strategy():
    unused = kl_divergence({"cot": 0.5, "pot": 0.5}, {"cot": 1.0, "pot": 0.0})
    assert unused == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-6))
    assert kl_divergence({"cot": 1.0, "pot": 0.0}, {"cot": 1.0, "pot": 0.0}) == 0


def test_shares():
    assert shares({"cot": 3, "l2m": 0, "pot": 1}) == {"cot": 0.75, "l2m": 0.0, "pot": 0.25}
    assert shares({"cot": 0}) == {"cot": 0.0}


@given(COUNTS, st.data())
def test_apportioned_rows_add_up_and_are_there(counts: dict[str, int], data):
    num_rows = data.draw(st.integers(0, sum(counts.values())))
    rows = apportion(counts, num_rows)
    assert sum(rows.values()) == num_rows
    assert all(rows[name] <= counts[name] for name in counts)
    exact = {name: counts[name] * num_rows / max(sum(counts.values()), 1) for name in counts}
    assert all(abs(rows[name] - exact[name]) < 1 for name in counts)


def test_the_golden_union_has_its_alpha():
    """METHOD's sets with one strategy: 3 teacher rows and 2 student rows are α = 0.6 without leaving any out."""
    assert rows_at_alpha(0.6, {"cot": 3}, {"cot": 2}) == ({"cot": 3}, {"cot": 2})
    assert rows_at_alpha(0.5, {"cot": 3}, {"cot": 2}) == ({"cot": 2}, {"cot": 2})


@given(COUNTS, COUNTS, st.floats(0, 1))
def test_no_larger_mixture_has_the_alpha(teacher: dict[str, int], student: dict[str, int], alpha: float):
    from_teacher, from_student = (sum(rows.values()) for rows in rows_at_alpha(alpha, teacher, student))
    num_rows = from_teacher + from_student
    assert abs(from_teacher - alpha * num_rows) <= 1
    larger = num_rows + 2
    room = alpha * larger <= sum(teacher.values()) - 1 and (1 - alpha) * larger <= sum(student.values()) - 1
    assert not room


@pytest.mark.parametrize(("alpha", "rows"), [(1.0, (90, 0)), (0.0, (0, 40))])
def test_the_ends_of_alpha_take_one_source_alone(alpha: float, rows: tuple[int, int]):
    taken = rows_at_alpha(alpha, {"cot": 60, "pot": 30}, {"cot": 10, "pot": 30})
    assert tuple(sum(one.values()) for one in taken) == rows


def test_within_the_kl_by_hand():
    """P_S = (1/2, 1/2), teacher rows of cot alone. 50 of them give P = (3/4, 1/4), whose KL is 0.130812."""
    rows, divergence = teacher_rows_within_kl(0.130813, {"cot": 1000, "pot": 0}, {"cot": 25, "pot": 25})
    assert rows == {"cot": 50, "pot": 0}
    assert divergence == pytest.approx(0.130812, abs=1e-6)


def test_a_teacher_like_the_student_is_taken_whole():
    rows, divergence = teacher_rows_within_kl(0.001, {"cot": 40, "pot": 20}, {"cot": 4, "pot": 2})
    assert rows == {"cot": 40, "pot": 20}
    assert divergence == pytest.approx(0, abs=1e-12)


@given(COUNTS, COUNTS.filter(lambda counts: sum(counts.values()) > 0), st.floats(0, 0.5))
def test_the_bound_holds_for_the_rows_that_are_taken(teacher, student, bound: float):
    rows, divergence = teacher_rows_within_kl(bound, teacher, student)
    mixed = {name: rows[name] + student[name] for name in rows}
    assert divergence == kl_divergence(shares(mixed), shares(student)) <= bound
    assert all(rows[name] <= teacher[name] for name in rows)


@given(COUNTS, st.fixed_dictionaries({name: st.integers(1, 40) for name in ("cot", "l2m", "pot")}))
def test_a_looser_bound_takes_no_fewer_rows(teacher, student):
    taken = [sum(teacher_rows_within_kl(bound, teacher, student)[0].values()) for bound in (0.0, 0.05, 0.2, 5.0)]
    assert taken[-1] == sum(teacher.values())
    assert all(before <= after for before, after in pairwise(taken))
