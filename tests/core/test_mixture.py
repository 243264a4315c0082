"""Policies as functions of counts: what they select, and why; test_mixture_rule.py applies them to tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.mixture import (
    KeptCounts,
    MixtureRules,
    Policy,
    Source,
    TeacherRows,
    count_sources,
    select,
)

COUNTS = KeptCounts(teacher={"cot": 60, "pot": 30}, student={"cot": 10, "pot": 30})


@pytest.mark.parametrize(
    ("policy", "teacher", "student"),
    [
        (Policy.ADAPTIVE, TeacherRows.UNSOLVED, True),
        (Policy.ALL, TeacherRows.ALL, True),
        (Policy.SELF_ONLY, TeacherRows.NONE, True),
        (Policy.TEACHER_ONLY, TeacherRows.ALL, False),
    ],
)
def test_whose_rows_are_candidates(policy: Policy, teacher: TeacherRows, student: bool):
    selection = select(COUNTS, MixtureRules(policy=policy), 1)
    assert (selection.teacher, selection.student, selection.quotas, selection.order) == (teacher, student, None, ())
    assert selection.reason


def test_biased_carries_its_order():
    selection = select(COUNTS, MixtureRules(policy=Policy.BIASED, order=("pot", "cot")), 1)
    assert selection.order == ("pot", "cot")
    assert "pot > cot" in selection.reason


@pytest.mark.parametrize(("iteration", "alpha"), [(1, 0.9), (2, 0.5), (3, 0.2), (7, 0.2)])
def test_the_schedule_of_alpha_repeats_its_last_value(iteration: int, alpha: float):
    rules = MixtureRules(policy=Policy.FIXED_ALPHA, alphas=(0.9, 0.5, 0.2))
    selection = select(COUNTS, rules, iteration)
    assert selection.quotas is not None
    num = {source: sum(rows.values()) for source, rows in selection.quotas.items()}
    assert num[Source.TEACHER] / (num[Source.TEACHER] + num[Source.STUDENT]) == pytest.approx(alpha, abs=0.01)
    assert f"α = {alpha:g}" in selection.reason and f"iteration {iteration}" in selection.reason


def test_kl_target_keeps_the_students_rows_and_says_what_it_allowed():
    selection = select(COUNTS, MixtureRules(policy=Policy.KL_TARGET, kl_bound=0.02), 1)
    assert selection.quotas is not None
    assert selection.quotas[Source.STUDENT] == COUNTS.student
    assert 0 < sum(selection.quotas[Source.TEACHER].values()) < 90
    assert "of 90 teacher rows" in selection.reason and "at most 0.02" in selection.reason


@pytest.mark.parametrize("policy", [Policy.FIXED_ALPHA, Policy.KL_TARGET])
def test_a_student_that_solved_nothing_learns_from_the_teacher(policy: Policy):
    rules = MixtureRules(policy=policy, alphas=(0.2,), kl_bound=0.01)
    selection = select(KeptCounts(teacher={"cot": 5}, student={"cot": 0}), rules, 1)
    assert (selection.teacher, selection.quotas) == (TeacherRows.ALL, None)
    assert "solved nothing" in selection.reason


@given(st.sampled_from(list(Policy)))
def test_every_policy_selects_with_a_reason(policy: Policy):
    rules = MixtureRules(policy=policy, order=("cot", "pot"), alphas=(0.3,), kl_bound=0.1)
    assert select(COUNTS, rules, 1).reason


def test_counts_by_source():
    assert count_sources(COUNTS, ["cot"]).as_dict() == {
        "rows": 70,
        "teacher_rows": 60,
        "student_rows": 10,
        "alpha": pytest.approx(6 / 7),
    }
    assert count_sources(COUNTS, ["cot", "pot"]).rows == 130


def test_alpha_of_an_empty_mixture_is_none_and_not_zero():
    counts = count_sources(COUNTS, [])
    assert counts.as_dict() == {"rows": 0, "teacher_rows": 0, "student_rows": 0, "alpha": None}
