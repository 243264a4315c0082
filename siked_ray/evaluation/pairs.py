"""Several students on the same problems: every two of them compared, and p-values corrected for their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from siked_ray.core.intervals import Paired, compare


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """`other` against `one`: what is gained is solved by `other` alone. `p_holm` is corrected for all pairs that are
    compared together; of two students it is McNemar's p itself."""

    one: str
    other: str
    paired: Paired
    p_holm: float


def compare_all(solved: Mapping[str, Sequence[bool]]) -> list[Pair]:
    """Every two students, in their order. `solved` has what each solves of the same problems, in the same order."""
    pairs = list(combinations(solved, 2))
    found = [compare(solved[one], solved[other]) for one, other in pairs]
    corrected = holm([one.p_value for one in found])
    return [
        Pair(one=one, other=other, paired=paired, p_holm=p)
        for (one, other), paired, p in zip(pairs, found, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted by Holm's step-down method: those below 0.05 hold together with a probability of error of at
    most 5 %. In the order given."""
    adjusted, largest = list(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(adjusted)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(adjusted) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
