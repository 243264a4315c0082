"""Divergences by hand, by their properties, and their gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.training.compute.divergences import (
    divergence_of,
    forward_kl,
    jsd,
    reverse_kl,
    student_cells,
    teacher_cells,
)

DIVERGENCES = {
    "forward": forward_kl,
    "reverse": reverse_kl,
    "jsd": jsd,
    "jsd .1": divergence_of("jsd", beta=0.1),
    "jsd .9": divergence_of("jsd", beta=0.9),
}


def logs(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log().float()


def coarse(teacher: torch.Tensor, student: torch.Tensor, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells of the teacher's tokens `ids` and of all others, out of log-probabilities."""
    token_ids = torch.tensor([ids] * len(teacher))
    top = teacher.gather(-1, token_ids)
    tail = (1 - top.double().exp().sum(-1)).clamp_min(0).log().to(teacher.dtype)
    return teacher_cells(top, tail), student_cells(student, token_ids)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("forward", 0.130812), ("reverse", 0.143841), ("jsd", 0.033822), ("jsd .1", 0.011831), ("jsd .9", 0.012752)],
)
def test_two_tokens_by_hand(name: str, expected: float):
    assert DIVERGENCES[name](logs(0.75, 0.25), logs(0.5, 0.5)).item() == pytest.approx(expected, abs=1e-6)


def test_jsd_ends_in_forward_and_reverse_kl():
    teacher, student = logs(0.75, 0.25), logs(0.5, 0.5)
    for beta, limit, near in ((0.0, forward_kl, 1e-3), (1.0, reverse_kl, 1 - 1e-3)):
        at_end = divergence_of("jsd", beta=beta)(teacher, student)
        assert at_end.item() == limit(teacher, student).item()
        scaled = jsd(teacher.double(), student.double(), beta=near) / min(near, 1 - near)
        assert scaled.item() == pytest.approx(at_end.item(), rel=5e-3)


FOUR = (logs(0.5, 0.25, 0.15, 0.10), logs(0.4, 0.3, 0.2, 0.1))
NEGATIVE = (logs(0.5, 0.2, 0.2, 0.1), logs(0.6, 0.3, 0.05, 0.05))


@pytest.mark.parametrize(
    ("pair", "name", "whole", "top_2"),
    [
        (FOUR, "forward", 0.022839, 0.020411),
        (NEGATIVE, "forward", 0.174320, 0.157330),
        (NEGATIVE, "reverse", 0.127060, 0.121171),
        (NEGATIVE, "jsd", 0.035650, 0.033472),
    ],
)
def test_four_tokens_by_hand(pair: tuple[torch.Tensor, torch.Tensor], name: str, whole: float, top_2: float):
    """The sum over the top two alone would be −.172254 for the second pair."""
    assert DIVERGENCES[name](*pair).item() == pytest.approx(whole, abs=1e-6)
    assert DIVERGENCES[name](*coarse(*pair, [0, 1])).item() == pytest.approx(top_2, abs=1e-6)


STUDENT, TEACHER = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("divergence", "temperature", "expected", "gradient"),
    [
        (forward_kl, 1.0, 0.061554, (-0.121745, 0.138221, -0.016476)),
        (reverse_kl, 1.0, 0.076667, (-0.162803, 0.184836, -0.022033)),
        (forward_kl, 2.0, 0.091417, (-0.139273, 0.190509, -0.051236)),
    ],
)
def test_gradients_of_logits_by_hand(divergence, temperature: float, expected: float, gradient: tuple[float, ...]):
    logits = STUDENT.clone().requires_grad_()
    teacher, student = ((one / temperature).log_softmax(-1) for one in (TEACHER, logits))
    loss = temperature**2 * divergence(teacher, student).sum()
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert logits.grad is not None and logits.grad[0].tolist() == pytest.approx(gradient, abs=1e-6)


def test_float16_loses_little():
    stored = TEACHER.log_softmax(-1).half().float()
    assert forward_kl(stored, STUDENT.log_softmax(-1)).item() == pytest.approx(0.061496, abs=1e-6)
    cells = teacher_cells(stored[:, :2], stored[:, 2]), student_cells(STUDENT, torch.tensor([[0, 1]]))
    assert forward_kl(*cells).item() == pytest.approx(0.061554, abs=1e-4)


def test_the_coarse_forward_gradient_is_the_formula():
    """q − p in the top K, q (1 − p_tail / q_tail) elsewhere."""
    logits = torch.randn(5, 11, generator=torch.manual_seed(0)).double().requires_grad_()
    teacher = torch.randn(5, 11, generator=torch.manual_seed(1)).double().log_softmax(-1)
    top, ids = teacher.topk(3)
    tail = (1 - top.exp().sum(-1)).log()
    forward_kl(torch.cat([top, tail[:, None]], -1), student_cells(logits, ids)).sum().backward()
    q = logits.detach().softmax(-1)
    q_tail = 1 - q.gather(-1, ids).sum(-1, keepdim=True)
    expected = (q * (1 - tail.exp()[:, None] / q_tail)).scatter(-1, ids, q.gather(-1, ids) - top.exp())
    assert logits.grad is not None and (logits.grad - expected).abs().max() < 1e-6


LOGITS = st.lists(st.floats(-6, 6, width=32), min_size=6, max_size=6)


@given(LOGITS, LOGITS, st.sampled_from(sorted(DIVERGENCES)), st.integers(1, 5), st.permutations(range(5)))
def test_the_top_tokens_give_a_divergence_and_never_more_than_all(one, other, name: str, k: int, order: list[int]):
    divergence = DIVERGENCES[name]
    teacher, student = (torch.tensor([logits], dtype=torch.float64).log_softmax(-1) for logits in (one, other))
    ids = teacher[0].topk(k).indices.tolist()
    whole = divergence(teacher, student).item()
    part = divergence(*coarse(teacher, student, ids)).item()
    assert -1e-6 <= part <= whole + 1e-5 * max(1.0, whole)
    if k == 5:
        assert part == pytest.approx(whole, abs=1e-4), "the tail is the one token that is left"
    shuffled = [ids[place] for place in order if place < k]
    assert divergence(*coarse(teacher, student, shuffled)).item() == pytest.approx(part, abs=1e-6)
    assert divergence(*coarse(teacher, teacher, ids)).item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
@pytest.mark.parametrize("log_tail", [-math.inf, -20.0, -0.001])
def test_tails_of_nothing_and_sums_beyond_one_are_numbers(name: str, log_tail: float):
    logits = torch.tensor([[30.0, 0.0, -30.0, 0.0]]).requires_grad_()
    top = torch.tensor(np.array([[-0.0001, -1.0, -np.inf]], dtype=np.float16))
    teacher = teacher_cells(top, torch.tensor([log_tail], dtype=torch.float16))
    loss = DIVERGENCES[name](teacher, student_cells(logits, torch.tensor([[0, 1, 2]]))).sum()
    loss.backward()
    assert loss.item() >= 0 and math.isfinite(loss.item())
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("log_tail", [-9.0, -14.0])
def test_a_tail_of_little_keeps_its_digits(log_tail: float):
    """Where the top tokens have nearly everything, 1 − Σ top in float32 would be off by percents."""
    rest = math.exp(log_tail)
    logits = torch.tensor([[1 - 2 * rest, rest, rest]], dtype=torch.float64).log().float().requires_grad_()
    cells = student_cells(logits, torch.tensor([[0, 1]]))
    cells[0, 2].backward()
    assert cells[0, 2].item() == pytest.approx(log_tail, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-(1 - 2 * rest), -rest, 1 - rest], abs=1e-6)
