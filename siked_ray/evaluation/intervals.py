"""How sure an accuracy, or a difference of two, is: bootstrap over problems, and McNemar's exact test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_NUM_RESAMPLES = 10_000
_LEVEL = 0.95
_SEED = 0


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
    gained, lost = changes.count(1), changes.count(-1)
    return Paired(
        num_problems=len(changes),
        gained=gained,
        lost=lost,
        difference=(gained - lost) / max(len(changes), 1),
        interval=bootstrap_interval(changes) if changes else (0.0, 0.0),
        p_value=mcnemar(gained, lost),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p of McNemar's test in its exact form: gained ~ Binomial(gained + lost, 1/2)."""
    total = gained + lost
    tail = sum(math.comb(total, k) for k in range(min(gained, lost) + 1))
    return min(1.0, tail / 2 ** (total - 1)) if total else 1.0
