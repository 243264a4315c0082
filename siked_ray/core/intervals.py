"""How sure an accuracy, or a difference of two, is: bootstrap over problems, and McNemar's exact test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_NUM_RESAMPLES = 10_000
_LEVEL = 0.95
_SEED = 0
#: Quantiles of the normal distribution at .975 and .8.
_Z_LEVEL = 1.959964
_Z_POWER = 0.841621


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % percentile interval of the mean over problems, by 10,000 seeded resamples of the problems.

    `values` has one figure per problem. Problems of one value are interchangeable, so a resample is drawn as the
    numbers of problems of each value, from the multinomial distribution that resampling them one by one has. Without
    problems it is (0, 1).
    """
    import numpy as np

    if not values:
        return 0.0, 1.0
    distinct, numbers = np.unique(np.asarray(values, dtype=float), return_counts=True)
    total = len(values)
    drawn = np.random.default_rng(_SEED).multinomial(total, numbers / total, size=_NUM_RESAMPLES)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(drawn @ distinct / total, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """Two students on the same problems: `gained` solved by the second alone, `lost` by the first alone, the difference
    of the accuracies with its 95 % interval, and the two-sided p of McNemar's exact test."""

    num_problems: int
    gained: int
    lost: int
    difference: float
    interval: tuple[float, float]
    p_value: float


def compare(before: Sequence[bool], after: Sequence[bool]) -> Paired:
    """Compare what two students solve of the same problems, in the same order."""
    changes = [int(new) - int(old) for old, new in zip(before, after, strict=True)]
    return compare_counts(len(changes), changes.count(1), changes.count(-1))


def compare_counts(num_problems: int, gained: int, lost: int) -> Paired:
    """The comparison of two students of whom the second solved `gained` problems alone, the first `lost` ones."""
    changes = [1] * gained + [-1] * lost + [0] * (num_problems - gained - lost)
    return Paired(
        num_problems=num_problems,
        gained=gained,
        lost=lost,
        difference=(gained - lost) / max(num_problems, 1),
        interval=bootstrap_interval(changes) if changes else (0.0, 0.0),
        p_value=mcnemar(gained, lost),
    )


def detectable_difference(num_problems: int, discordance: float) -> float | None:
    """The smallest difference of two students on the same problems that McNemar's test at 5 %, two-sided, finds with a
    probability of 80 %, where a share `discordance` of the problems is solved by one of them alone; None where no
    difference that large can be.

    It solves δ √n = z₀.₉₇₅ √ψ + z₀.₈ √(ψ − δ²) (Connor, Biometrics 43, 1987) for δ.
    """
    level, power = math.sqrt(num_problems), math.sqrt(discordance)
    wanted = _Z_LEVEL * power
    # Squared it is quadratic in δ: (n + z₀.₈²) δ² − 2 √n z₀.₉₇₅ √ψ δ + (z₀.₉₇₅² − z₀.₈²) ψ = 0.
    square, constant = num_problems + _Z_POWER**2, (_Z_LEVEL**2 - _Z_POWER**2) * discordance
    if (inside := (level * wanted) ** 2 - square * constant) < 0:
        return None
    root = (level * wanted + math.sqrt(inside)) / square
    return root if 0 < root <= discordance else None


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's test in its exact form: gained ~ Binomial(gained + lost, 1/2)."""
    total = gained + lost
    tail = sum(math.comb(total, k) for k in range(min(gained, lost) + 1))
    return min(1.0, tail / 2 ** (total - 1)) if total else 1.0
