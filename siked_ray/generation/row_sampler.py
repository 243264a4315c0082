"""First-correct sampling of one (problem, strategy) row, as a pure state machine.

The method keeps the first correct of K samples (SIKeD, section 3). Sample i is a function of its own seed, so
a row may stop at its first correct sample and still keep what K independent samples would have kept.
"""

from collections.abc import Sequence


class RowSampler:
    """Says which sample indices to draw next, given which samples so far are accepted.

    `ramp` is the number of samples drawn at once, attempt after attempt; its last number repeats. `keep` is the
    number of accepted samples after which the row stops; None draws all `num_samples`.
    """

    def __init__(self, *, num_samples: int, ramp: Sequence[int], keep: int | None) -> None:
        self._num_samples = num_samples
        self._sizes = list(ramp)
        self._keep = keep
        self._drawn = 0
        self._attempt = 0
        self._is_accepted: dict[int, bool] = {}

    def next_indices(self) -> range:
        """Sample indices to draw now; empty while some are outstanding or when the row is finished."""
        if self.outstanding or self.finished:
            return range(0)
        size = self._num_samples if self._keep is None else self._sizes[min(self._attempt, len(self._sizes) - 1)]
        first = self._drawn
        self._drawn = min(first + size, self._num_samples)
        self._attempt += 1
        return range(first, self._drawn)

    def add(self, sample_index: int, *, is_accepted: bool) -> None:
        """Record what became of a drawn sample."""
        self._is_accepted[sample_index] = is_accepted

    def give_up(self, sample_index: int) -> None:
        """The row cannot be sampled: nothing more is drawn, what is outstanding is waited for."""
        self._is_accepted[sample_index] = False
        self._num_samples = self._drawn

    @property
    def outstanding(self) -> int:
        """Drawn samples of which nothing is known yet."""
        return self._drawn - len(self._is_accepted)

    @property
    def finished(self) -> bool:
        """True when nothing more will be drawn and nothing is outstanding."""
        if self.outstanding:
            return False
        num_accepted = sum(self._is_accepted.values())
        return self._drawn >= self._num_samples or (self._keep is not None and num_accepted >= self._keep)
