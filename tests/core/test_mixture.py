import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def rows(source: Source, *problems: int, strategy: str = "cot") -> list[MixtureRow]:
    return [
        MixtureRow(
            strategy=strategy, problem_id=str(problem), source=source, request_id=f"{source}-{strategy}-{problem}"
        )
        for problem in problems
    ]


def written_by(mixture: list[MixtureRow]) -> list[tuple[str, str]]:
    return [(row.problem_id, row.source.value) for row in mixture]


STUDENT = rows(Source.STUDENT, 1, 2)
TEACHER = rows(Source.TEACHER, 2, 3, 4)


@pytest.mark.parametrize(
    ("policy", "num_rows", "alpha"),
    [(Policy.ADAPTIVE, 4, 0.5), (Policy.ALL, 5, 0.6), (Policy.SELF_ONLY, 2, 0.0), (Policy.TEACHER_ONLY, 3, 1.0)],
)
def test_golden_mixtures(policy: Policy, num_rows: int, alpha: float):
    counts = count_sources(POLICIES[policy](TEACHER, STUDENT))
    assert (counts.rows, counts.alpha) == (num_rows, alpha)
    assert counts.teacher_rows + counts.student_rows == num_rows


def test_adaptive_takes_the_teacher_only_where_the_student_has_nothing():
    mixture = POLICIES[Policy.ADAPTIVE](TEACHER, STUDENT)
    assert written_by(mixture) == [("1", "student"), ("2", "student"), ("3", "teacher"), ("4", "teacher")]


def test_all_keeps_both_rationales_of_a_problem():
    mixture = POLICIES[Policy.ALL](TEACHER, STUDENT)
    assert written_by(mixture)[1:3] == [("2", "student"), ("2", "teacher")]


def test_a_problem_solved_by_one_strategy_is_still_open_for_another():
    student = rows(Source.STUDENT, 1, strategy="pot")
    teacher = rows(Source.TEACHER, 1, strategy="cot") + rows(Source.TEACHER, 1, strategy="pot")
    mixture = POLICIES[Policy.ADAPTIVE](teacher, student)
    assert [(row.strategy, row.source) for row in mixture] == [("cot", Source.TEACHER), ("pot", Source.STUDENT)]


def test_every_policy_has_a_function():
    assert set(POLICIES) == set(Policy)


ROWS = st.lists(
    st.tuples(st.sampled_from(["cot", "l2m", "pot"]), st.integers(0, 20)), unique=True, max_size=30
).flatmap(lambda keys: st.tuples(st.just(keys), st.permutations(keys)))


@given(ROWS, ROWS, st.sampled_from(list(Policy)))
def test_the_order_of_arrival_does_not_matter(teacher, student, policy: Policy):
    def mixed(which: int) -> list[MixtureRow]:
        taught = [
            row for strategy, problem in teacher[which] for row in rows(Source.TEACHER, problem, strategy=strategy)
        ]
        own = [row for strategy, problem in student[which] for row in rows(Source.STUDENT, problem, strategy=strategy)]
        return POLICIES[policy](taught, own)

    assert mixed(0) == mixed(1)
    assert mixture_sha256(mixed(0)) == mixture_sha256(mixed(1)) == mixture_sha256(reversed(mixed(1)))


@given(ROWS, ROWS)
def test_adaptive_has_one_row_for_every_key_that_anyone_solved(teacher, student):
    taught, own = teacher[0], student[0]
    mixture = POLICIES[Policy.ADAPTIVE](
        [row for strategy, problem in taught for row in rows(Source.TEACHER, problem, strategy=strategy)],
        [row for strategy, problem in own for row in rows(Source.STUDENT, problem, strategy=strategy)],
    )
    keys = [(row.strategy, int(row.problem_id)) for row in mixture]
    assert sorted(keys) == sorted(set(taught) | set(own))
    assert {key for key, row in zip(keys, mixture, strict=True) if row.source is Source.STUDENT} == set(own)


def test_the_hash_sees_source_and_request():
    first, *rest = TEACHER
    other_request = MixtureRow(strategy="cot", problem_id="2", source=Source.TEACHER, request_id="other")
    other_source = MixtureRow(strategy="cot", problem_id="2", source=Source.STUDENT, request_id=first.request_id)
    hashes = {mixture_sha256([one, *rest]) for one in (first, other_request, other_source)}
    assert len(hashes) == 3
    assert all(len(one) == 64 for one in hashes)


def test_alpha_of_an_empty_mixture_is_none_and_not_zero():
    counts = count_sources([])
    assert counts.as_dict() == {"rows": 0, "teacher_rows": 0, "student_rows": 0, "alpha": None}


def test_strategy_shares():
    mixture = rows(Source.STUDENT, 1, 2, 3) + rows(Source.TEACHER, 9, strategy="pot")
    assert strategy_shares(mixture, ["cot", "l2m", "pot"]) == {"cot": 0.75, "l2m": 0.0, "pot": 0.25}
    assert strategy_shares([], ["cot", "pot"]) == {"cot": 0.0, "pot": 0.0}


def test_kl_by_hand():
    p, q = {"cot": 0.75, "pot": 0.25}, {"cot": 0.5, "pot": 0.5}
    assert kl_divergence(p, q) == pytest.approx(0.130812, abs=1e-6)
    assert kl_divergence(q, p) == pytest.approx(0.143841, abs=1e-6)
    assert kl_divergence(p, p) == 0


def test_kl_stays_finite_where_the_student_never_uses_a_strategy():
    unused = kl_divergence({"cot": 0.5, "pot": 0.5}, {"cot": 1.0, "pot": 0.0})
    assert unused == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-6))
    assert kl_divergence({"cot": 1.0, "pot": 0.0}, {"cot": 1.0, "pot": 0.0}) == 0
