"""How far a student is from its teacher at each token of the student's own solutions, and where they part.

Shape suffixes: R tokens of a solution, K most likely tokens of a model at each.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_ray.data.payload import TopK

if TYPE_CHECKING:
    import numpy as np

_EXAMPLES = 6
#: Log-probabilities that float16 holds can be −inf.
_LEAST = -30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """A solution that a student wrote by itself, with what both models say of its tokens; `token_ids_R` are its own."""

    question: str
    answer: str
    strategy: str
    correct: bool
    token_ids_R: "np.ndarray"
    teacher: TopK
    student: TopK


@dataclass(frozen=True, kw_only=True, slots=True)
class Parting:
    """Where the teacher would have gone another way: the place with the largest divergence among those where its most
    likely token is not the one that stands there. `likely` are its tokens there with their probabilities."""

    solution: Solution
    place: int
    divergence: float
    likely: tuple[tuple[int, float], ...]


def divergences(teacher: TopK, student: TopK) -> "tuple[np.ndarray, np.ndarray]":
    """(KL(T‖S), KL(S‖T)) in nats at each token, over the tokens that both name and one cell for all others.

    Lower bounds of the divergences over the whole vocabulary, as those of any coarser partition are.
    """
    import numpy as np

    is_shared_RKK = teacher.token_ids_RK[:, :, None] == student.token_ids_RK[:, None, :]
    of_teacher, of_student = is_shared_RKK.any(2), is_shared_RKK.any(1)
    log_t_RK = teacher.log_probs_RK.astype(np.float64).clip(min=_LEAST)
    log_s_RK = student.log_probs_RK.astype(np.float64).clip(min=_LEAST)
    at_teachers_RK = (is_shared_RKK * log_s_RK[:, None, :]).sum(2)
    rest_t_R, rest_s_R = _rest(teacher, log_t_RK, of_teacher), _rest(student, log_s_RK, of_student)
    difference_RK = np.where(of_teacher, log_t_RK - at_teachers_RK, 0.0)
    forward_R = (np.exp(log_t_RK) * difference_RK).sum(1) + rest_t_R * (np.log(rest_t_R) - np.log(rest_s_R))
    reverse_R = -(np.exp(at_teachers_RK) * of_teacher * difference_RK).sum(1)
    reverse_R += rest_s_R * (np.log(rest_s_R) - np.log(rest_t_R))
    return forward_R.clip(min=0.0), reverse_R.clip(min=0.0)


def _rest(model: TopK, log_RK: "np.ndarray", shared_RK: "np.ndarray") -> "np.ndarray":
    """What a model gives to all tokens but those that both name."""
    import numpy as np

    tail_R = np.exp(model.log_tail_R.astype(np.float64).clip(min=_LEAST))
    return tail_R + (np.exp(log_RK) * ~shared_RK).sum(1)


def summed(solutions: Iterable[Solution]) -> tuple[dict[str, Any], list[Parting]]:
    """Figures by strategy, means over tokens; and the partings of wrong solutions, the largest first.

    Figures: `solutions`, `tokens`, `forward_kl`, `reverse_kl`, `other_token` (share of the tokens where the teacher's
    most likely one is another), and of the right and wrong solutions apart `forward_kl_right` and `forward_kl_wrong`
    (None where there are none).
    """
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    partings: list[Parting] = []
    for one in solutions:
        forward_R, reverse_R = divergences(one.teacher, one.student)
        other_R = one.teacher.token_ids_RK[:, 0] != one.token_ids_R
        sums = {"solutions": 1, "tokens": len(forward_R), "forward": forward_R.sum(), "reverse": reverse_R.sum()}
        which = "right" if one.correct else "wrong"
        sums |= {"other": other_R.sum(), f"tokens_{which}": len(forward_R), f"forward_{which}": forward_R.sum()}
        for name, value in sums.items():
            found[one.strategy][name] += float(value)
        if not one.correct and other_R.any():
            partings = _largest([*partings, _parting(one, forward_R, other_R)])
    return {strategy: _figures(sums) for strategy, sums in found.items()}, partings


def _parting(one: Solution, forward_R: "np.ndarray", other_R: "np.ndarray") -> Parting:
    import numpy as np

    place = int(np.argmax(np.where(other_R, forward_R, -1.0)))
    best = zip(one.teacher.token_ids_RK[place, :3].tolist(), one.teacher.log_probs_RK[place, :3].tolist(), strict=True)
    likely = tuple((token, float(np.exp(log_prob))) for token, log_prob in best)
    return Parting(solution=one, place=place, divergence=float(forward_R[place]), likely=likely)


def _largest(partings: list[Parting]) -> list[Parting]:
    return sorted(partings, key=lambda one: -one.divergence)[:_EXAMPLES]


def _figures(sums: Mapping[str, float]) -> dict[str, Any]:
    tokens = max(sums["tokens"], 1.0)
    by_verdict = {}
    for which in ("right", "wrong"):
        of_these = sums.get(f"tokens_{which}")
        by_verdict[f"forward_kl_{which}"] = sums[f"forward_{which}"] / of_these if of_these else None
    return {
        "solutions": int(sums["solutions"]),
        "tokens": int(sums["tokens"]),
        "forward_kl": sums["forward"] / tokens,
        "reverse_kl": sums["reverse"] / tokens,
        "other_token": sums["other"] / tokens,
        **by_verdict,
    }
