"""How one model is made out of several: θ = θ₀ + Σ λ_k τ_k with task vectors τ_k = θ_k − θ₀, by named rules for λ."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class RuleName(StrEnum):
    """GIVEN: the weights that are given (task arithmetic, arXiv 2212.04089); AVERAGE: 1/n each; METAGPT: each task
    vector by its share of all squared lengths (arXiv 2406.11385)."""

    GIVEN = "task_arithmetic"
    AVERAGE = "average"
    METAGPT = "metagpt"


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRule:
    """`weights` are λ by the parts' names, for the rule GIVEN."""

    weights: Mapping[str, float] = field(default_factory=dict)
    rule: RuleName = RuleName.GIVEN

    def lambdas(self, squares: Mapping[str, float]) -> dict[str, float]:
        """λ of the parts, whose task vectors have these squared lengths."""
        total = math.fsum(squares.values())
        match self.rule:
            case RuleName.GIVEN:
                return dict(self.weights)
            case RuleName.AVERAGE:
                return dict.fromkeys(squares, 1 / len(squares))
            case RuleName.METAGPT:
                return {name: square / total if total else 0.0 for name, square in squares.items()}


def loss_bound(lambdas: Mapping[str, float], squares: Mapping[str, float]) -> float:
    """J(λ) = Σ_t n_t [(1 − λ_t)² n_t + Σ_{k≠t} λ_k² n_k] with n_t = ‖τ_t‖²: what the summed rise of the parts' losses
    is bounded by, up to a constant, where task vectors are orthogonal and training is in the linear regime (MetaGPT).
    """
    return math.fsum(
        n_t * ((1 - lambdas[t]) ** 2 * n_t + math.fsum(lambdas[k] ** 2 * n for k, n in squares.items() if k != t))
        for t, n_t in squares.items()
    )
