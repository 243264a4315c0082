"""How one model is made out of several: named rules over their weights."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRule:
    """θ = θ₀ + Σ weights[k] (θ_k − θ₀), tensor by tensor in float32; parts by name."""

    weights: Mapping[str, float]
