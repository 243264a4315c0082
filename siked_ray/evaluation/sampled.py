"""What K samples of each problem say, drawn at T > 0: pass@k, the mean accuracy, and the majority of k.

All are expectations over which k of the K samples are looked at, computed exactly: nothing is drawn here.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from siked_ray.core.intervals import bootstrap_interval
from siked_ray.evaluation.majority import same_answer
from siked_ray.evaluation.outcomes import GradedAnswer


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledIntervals:
    """95 % bootstrap intervals over problems of the figures of the same names."""

    average: tuple[float, float]
    pass_at: Mapping[str, tuple[float, float]]
    majority_at: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledMetrics:
    """Means over problems, from `num_samples` free completions of each; k is a text, as JSON has it.

    `average` is avg@K, the share of all samples that are correct, which is pass@1 too. `pass_at[k]`: one of k samples
    is correct. `majority_at[k]`: the answer that most of k samples give is correct; a tie is broken at random, and
    samples without an answer do not vote.
    """

    num_samples: int
    average: float
    pass_at: Mapping[str, float]
    majority_at: Mapping[str, float]
    intervals: SampledIntervals


def pass_at(k: int, num_samples: int, num_correct: int) -> float:
    """Probability that k of `num_samples` samples, drawn without putting back, have a correct one among them.

    1 − C(n − c, k) / C(n, k), the unbiased estimator of Chen et al. (arXiv 2107.03374), as a product without large
    numbers. ValueError for k above the number of samples.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} of {num_samples} samples, {num_correct} of them correct, is not defined")
    if num_samples - num_correct < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(num_samples - num_correct + 1, num_samples + 1))


def majority_at(k: int, num_correct: int, others: Sequence[int], num_silent: int) -> float:
    """Probability that the correct answer is the most frequent of k samples, drawn without putting back.

    `num_correct` samples have the correct answer, `others` are the numbers of samples of each other answer, and
    `num_silent` have none and do not vote. Of answers that are equally frequent each is taken with the same
    probability. ValueError for k above the number of samples.
    """
    total = num_correct + sum(others) + num_silent
    if not 1 <= k <= total:
        raise ValueError(f"the majority of {k} of {total} samples is not defined")
    return _majority_at(k, num_correct, tuple(sorted(others)), num_silent)


@lru_cache(maxsize=100_000)
def _majority_at(k: int, num_correct: int, others: tuple[int, ...], num_silent: int) -> float:
    total = num_correct + sum(others) + num_silent
    won = sum(
        float(math.comb(num_correct, votes)) * _ways_to_win(k - votes, votes, others, num_silent)
        for votes in range(1, min(k, num_correct) + 1)
    )
    return won / math.comb(total, k)


def _ways_to_win(num_left: int, votes: int, others: tuple[int, ...], num_silent: int) -> float:
    """Ways to draw the other samples so that no other answer has more than `votes`; each counts 1 / (1 + ties).

    `ways[ties][drawn]`; answers with fewer samples than `votes` can neither win nor tie, as silent ones.
    """
    import numpy as np

    harmless = num_silent + sum(size for size in others if size < votes)
    ways = np.zeros((num_left // votes + 1, num_left + 1))
    ways[0] = [math.comb(harmless, drawn) for drawn in range(num_left + 1)]
    for size in others:
        if size < votes:
            continue
        below = np.array([math.comb(size, more) for more in range(votes)], dtype=float)
        grown = np.stack([np.convolve(row, below)[: num_left + 1] for row in ways])
        grown[1:, votes:] += math.comb(size, votes) * ways[:-1, :-votes]
        ways = grown
    return float((ways[:, num_left] / np.arange(1, len(ways) + 1)).sum())


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4, … up to `most`, and `most` itself."""
    return sorted({most, *(2**i for i in range(most.bit_length()))})


def evaluate_samples(
    problem_ids: Sequence[str], samples: Iterable[GradedAnswer], num_samples: int, ks: Sequence[int]
) -> SampledMetrics:
    """Figures of a data set from samples of its problems (others are passed over).

    A problem with fewer than `num_samples`, since it could not be sampled, counts as one whose missing samples are
    wrong and silent.
    """
    by_problem: dict[str, list[GradedAnswer]] = {problem: [] for problem in sorted(set(problem_ids))}
    for one in samples:
        if one.problem_id in by_problem:
            by_problem[one.problem_id].append(one)
    votes = [_votes(found) for found in by_problem.values()]
    average = [correct / num_samples for correct, _ in votes]
    passed = {str(k): [pass_at(k, num_samples, correct) for correct, _ in votes] for k in ks}
    majority = {
        str(k): [majority_at(k, correct, others, num_samples - correct - sum(others)) for correct, others in votes]
        for k in ks
    }
    return SampledMetrics(
        num_samples=num_samples,
        average=_mean(average),
        pass_at={k: _mean(values) for k, values in passed.items()},
        majority_at={k: _mean(values) for k, values in majority.items()},
        intervals=SampledIntervals(
            average=bootstrap_interval(average),
            pass_at={k: bootstrap_interval(values) for k, values in passed.items()},
            majority_at={k: bootstrap_interval(values) for k, values in majority.items()},
        ),
    )


def _votes(samples: Sequence[GradedAnswer]) -> tuple[int, list[int]]:
    """How many samples are correct, and how many give each other answer."""
    num_correct = sum(one.correct for one in samples)
    texts = Counter(one.predicted for one in samples if one.predicted is not None and not one.correct)
    groups: list[tuple[str, int]] = []
    for text, number in texts.items():
        same = next((index for index, (first, _) in enumerate(groups) if same_answer(first, text)), None)
        if same is None:
            groups.append((text, number))
        else:
            groups[same] = (groups[same][0], groups[same][1] + number)
    return num_correct, [number for _, number in groups]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)
