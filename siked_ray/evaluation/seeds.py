"""Two arms of an experiment, paired over seeds: Student's t, and the exact test that needs no distribution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

_LEVEL = 0.95
#: Sums of the same differences in another order differ in their last bits.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmsComparison:
    """Mean difference over the seeds with its 95 % interval (t), the two-sided p of the paired t-test, and that of the
    sign-flip test. With n seeds the latter is never below 2 / 2ⁿ."""

    num_seeds: int
    mean: float
    interval: tuple[float, float]
    p_t: float
    p_flip: float


def compare_over_seeds(differences: Sequence[float]) -> ArmsComparison:
    """Compare two arms by their differences, one per seed; two seeds at least."""
    mean, half = mean_and_half_width(differences)
    error = _standard_error(differences)
    return ArmsComparison(
        num_seeds=len(differences),
        mean=mean,
        interval=(mean - half, mean + half),
        p_t=_two_sided_p(mean / error, len(differences) - 1) if error else float(mean == 0),
        p_flip=sign_flip_p(differences),
    )


def mean_and_half_width(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t; ValueError for fewer than two values."""
    if len(values) < 2:
        raise ValueError(f"an interval over seeds needs two of them at least, not {len(values)}")
    return math.fsum(values) / len(values), t_quantile(_LEVEL, len(values) - 1) * _standard_error(values)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the mean under all 2ⁿ ways to flip the signs of the differences."""
    observed = abs(math.fsum(differences)) - _ROUNDING
    sums = [abs(math.fsum(s * d for s, d in zip(signs, differences, strict=True))) for signs in _signs(differences)]
    return sum(one >= observed for one in sums) / len(sums)


def t_probability(t: float, num_degrees: int) -> float:
    """P(|T| ≤ t) of Student's t with whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(num_degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = num_degrees % 2
    term = total = (cosine if num_degrees > 1 else 0.0) if odd else 1.0
    for k in range(2 + odd, num_degrees - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def t_quantile(level: float, num_degrees: int) -> float:
    """The t with P(|T| ≤ t) = level."""
    low, high = 0.0, 1e4
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, num_degrees) < level else (low, middle)
    return high


def _two_sided_p(t: float, num_degrees: int) -> float:
    return max(0.0, 1 - t_probability(abs(t), num_degrees))


def _standard_error(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def _signs(values: Sequence[float]) -> Sequence[tuple[int, ...]]:
    return list(product((1, -1), repeat=len(values)))
