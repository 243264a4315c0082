"""Per-token divergence out of the most likely tokens of both models, and where they part."""

import numpy as np
import pytest

from siked_ray.data.payload import TopK
from siked_ray.evaluation.divergence import Solution, divergences, summed

VOCABULARY = 50


def drawn(seed: int, num_tokens: int = 40, sharpness: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(num_tokens, VOCABULARY)) * sharpness
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def top(log_probs: np.ndarray, k: int) -> TopK:
    ids = np.argsort(-log_probs, axis=1)[:, :k]
    return TopK.of(ids, np.take_along_axis(log_probs, ids, axis=1))


def kl(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (np.exp(one) * (one - other)).sum(1)


def test_with_all_tokens_it_is_the_divergence():
    teacher, student = drawn(1), drawn(2)
    forward, reverse = divergences(top(teacher, VOCABULARY), top(student, VOCABULARY))
    assert forward == pytest.approx(kl(teacher, student), rel=0.02, abs=0.02)
    assert reverse == pytest.approx(kl(student, teacher), rel=0.02, abs=0.02)


@pytest.mark.parametrize("k", [1, 4, 16])
def test_with_few_it_is_a_lower_bound_that_grows(k: int):
    teacher, student = drawn(1), drawn(2)
    few, more = (divergences(top(teacher, n), top(student, n)) for n in (k, 3 * k))
    for bound, whole in zip(few, (kl(teacher, student), kl(student, teacher)), strict=True):
        assert (bound <= whole + 0.02).all() and (bound >= 0).all()
    assert more[0].mean() > few[0].mean()


def test_equal_models_have_none():
    one = top(drawn(3), 8)
    forward, reverse = divergences(one, one)
    assert forward == pytest.approx(0, abs=1e-9) and reverse == pytest.approx(0, abs=1e-9)


def test_no_token_in_common_and_certain_models_are_finite():
    sure = np.full((1, VOCABULARY), -np.inf)
    other = sure.copy()
    sure[0, 3], other[0, 4] = 0.0, 0.0
    for values in divergences(top(sure, 2), top(other, 2)):
        assert np.isfinite(values).all() and (values >= 0).all()


def solution(seed: int, correct: bool, strategy: str = "cot", teacher: np.ndarray | None = None) -> Solution:
    student = drawn(seed, 6)
    return Solution(
        question=f"q{seed}",
        answer="1",
        strategy=strategy,
        correct=correct,
        token_ids_R=student.argmax(1),
        teacher=top(drawn(seed + 100, 6) if teacher is None else teacher, 16),
        student=top(student, 16),
    )


def test_figures_are_means_over_tokens_by_strategy():
    ones = [solution(1, True), solution(2, False), solution(3, False, "pot")]
    figures, _ = summed(ones)
    values = [divergences(one.teacher, one.student) for one in ones]
    assert list(figures) == ["cot", "pot"]
    cot = figures["cot"]
    assert (cot["solutions"], cot["tokens"]) == (2, 12)
    assert cot["forward_kl"] == pytest.approx(np.concatenate([values[0][0], values[1][0]]).mean())
    assert cot["reverse_kl"] == pytest.approx(np.concatenate([values[0][1], values[1][1]]).mean())
    assert (cot["forward_kl_right"], cot["forward_kl_wrong"]) == pytest.approx(
        (values[0][0].mean(), values[1][0].mean())
    )
    assert figures["pot"]["forward_kl_right"] is None
    others = [(one.teacher.token_ids_RK[:, 0] != one.token_ids_R).mean() for one in ones[:2]]
    assert cot["other_token"] == pytest.approx(np.mean(others))


def test_models_part_where_the_teacher_is_furthest_from_what_stands_there():
    student = drawn(7, 6)
    teacher = student.copy()
    first, second = student.argmax(1)[2], student.argmax(1)[4]
    for place, token, log_prob in ((2, first, -4.0), (4, second, -0.8)):
        teacher[place, token] = log_prob
    teacher -= np.log(np.exp(teacher).sum(1, keepdims=True))
    parted, agreed = solution(7, False, teacher=teacher), solution(8, False, teacher=drawn(8, 6))
    _, partings = summed([agreed, parted, solution(7, True, teacher=teacher)])
    (parting,) = partings
    assert parting.solution is parted and parting.place == 2
    assert parting.likely[0] == (teacher[2].argmax(), pytest.approx(np.exp(teacher[2].max()), rel=0.01))
    assert parting.divergence == pytest.approx(divergences(parted.teacher, parted.student)[0].max())


def test_the_largest_partings_are_kept():
    _, partings = summed(solution(seed, False) for seed in range(20))
    sizes = [one.divergence for one in partings]
    assert len(partings) == 6 and sizes == sorted(sizes, reverse=True)
