"""How far a student's distribution is from its teacher's, over whole vocabularies or over the teacher's top tokens.

Shape suffixes: N targets, C cells (tokens, or the top K and one for all others), V vocabulary.
Arguments are log-probabilities in float32; results are in nats, for each target, and differentiable in the student's.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

Divergence = Callable[[Any, Any], Any]

#: No cell is held to be less likely: what float16 and sums of K probabilities cannot tell from nothing.
_LEAST_LOG_TAIL = math.log(1e-7)
#: For tokens that a teacher has ruled out, as 0 · log 0 is 0 and 0 · −∞ is not a number.
_LEAST_LOG = -100.0


def forward_kl(teacher_NC: Any, student_NC: Any) -> Any:
    """KL(T‖S) = Σ t log(t/s)."""
    return (teacher_NC.exp() * (teacher_NC - student_NC)).sum(-1)


def reverse_kl(teacher_NC: Any, student_NC: Any) -> Any:
    """KL(S‖T) = Σ s log(s/t)."""
    return forward_kl(student_NC, teacher_NC)


def jsd(teacher_NC: Any, student_NC: Any, *, beta: float = 0.5) -> Any:
    """β KL(T‖M) + (1 − β) KL(S‖M) with M = β T + (1 − β) S (arXiv 2306.13649, equation 1).

    At β = 0 and 1 it is the limit of JSD / β and of JSD / (1 − β): forward and reverse KL.
    """
    if beta == 0:
        return forward_kl(teacher_NC, student_NC)
    if beta == 1:
        return reverse_kl(teacher_NC, student_NC)
    shares = torch.tensor([beta, 1 - beta], device=student_NC.device).log()
    mixture_NC = torch.logaddexp(teacher_NC + shares[0], student_NC + shares[1])
    return beta * forward_kl(teacher_NC, mixture_NC) + (1 - beta) * forward_kl(student_NC, mixture_NC)


def divergence_of(kind: str, *, beta: float = 0.5) -> Divergence:
    """The divergence of this name; `beta` is the teacher's share of the mixture that JSD compares with."""
    known: dict[str, Divergence] = {
        "forward_kl": forward_kl,
        "reverse_kl": reverse_kl,
        "jsd": partial(jsd, beta=beta),
    }
    return known[kind]


def teacher_cells(log_probs_NK: Any, log_tail_N: Any) -> Any:
    """The teacher's top K and one cell for all other tokens, as stored in float16, summing to 1 again."""
    tail_N1 = log_tail_N.float().clamp_min(_LEAST_LOG_TAIL)[:, None]
    top_NK = log_probs_NK.float().clamp_min(_LEAST_LOG)
    return torch.log_softmax(torch.cat([top_NK, tail_N1], dim=-1), dim=-1)


def student_cells(logits_NV: Any, token_ids_NK: Any) -> Any:
    """What the student gives to each of those tokens, and to all others together.

    With that one cell, each divergence is one between distributions, and at most what it is over all tokens. A sum over
    the top K alone is no divergence; it can be negative.
    """
    all_N1 = torch.logsumexp(logits_NV, dim=-1, keepdim=True)
    top_NK = logits_NV.gather(-1, token_ids_NK) - all_N1
    # Of the others' own logits: 1 − Σ top loses all its digits where the top tokens have nearly everything.
    others_NV = logits_NV.scatter(-1, token_ids_NK, -torch.inf)
    tail_N1 = torch.logsumexp(others_NV, dim=-1, keepdim=True) - all_N1
    return torch.cat([top_NK, tail_N1.clamp_min(_LEAST_LOG_TAIL)], dim=-1)
