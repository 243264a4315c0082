"""What a training plan comes to in steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from siked_ray.core.training_plan import TrainingPlan
from siked_ray.training.compute.groups import groups_of, pack_groups, window_of_groups
from siked_ray.training.compute.packing import (
    OF_TOKENS,
    Examples,
    Lengths,
    PackedRow,
    Window,
    epoch_order,
    pack_rows,
    share_of_worker,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Schedule:
    """Packed rows of all epochs, flat: row i holds the examples `indices[ends[i - 1]:ends[i]]`; step s holds the rows
    from `first_rows[s]` to `first_rows[s + 1]`, in which there are `num_tokens[s]` tokens and `num_targets[s]` of them
    with a loss."""

    indices: "np.ndarray"
    ends: "np.ndarray"
    first_rows: "np.ndarray"
    num_tokens: "np.ndarray"
    num_targets: "np.ndarray"

    def __len__(self) -> int:
        return len(self.first_rows) - 1

    def share(self, steps: range, *, rank: int, num_workers: int) -> "tuple[np.ndarray, np.ndarray]":
        """A worker's rows of some steps, flat like the whole: indices and ends."""
        import numpy as np

        shares = [share_of_worker(self.num_rows(step), rank=rank, num_workers=num_workers) for step in steps]
        firsts = self.first_rows[steps.start : steps.stop]
        rows = np.concatenate(
            [first + np.array(mine, dtype=np.int64) for first, mine in zip(firsts, shares, strict=True)]
        )
        starts = np.where(rows > 0, self.ends[rows - 1], 0)
        lengths = self.ends[rows] - starts
        ends = np.cumsum(lengths)
        return self.indices[np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)], ends

    def first(self, num_steps: int) -> "Schedule":
        """The first steps alone."""
        num_rows = int(self.first_rows[num_steps])
        return Schedule(
            indices=self.indices[: self.ends[num_rows - 1] if num_rows else 0],
            ends=self.ends[:num_rows],
            first_rows=self.first_rows[: num_steps + 1],
            num_tokens=self.num_tokens[:num_steps],
            num_targets=self.num_targets[:num_steps],
        )

    def num_rows(self, step: int) -> int:
        """Packed rows of an optimizer step, of all workers together."""
        return int(self.first_rows[step + 1] - self.first_rows[step])


def plan_steps(
    plan: TrainingPlan, lengths: Lengths, chosen: "np.ndarray | None" = None, window: Window = OF_TOKENS
) -> Schedule:
    """What every optimizer step of all epochs, or of the plan's length, trains on, of the `chosen` examples (by default
    all of them), shuffled within `window`; the last step of an epoch may have fewer rows. With shared prompts, groups
    are shuffled."""
    import numpy as np

    chosen = np.arange(len(lengths.prompt)) if chosen is None else chosen
    indices: list[int] = []
    ends: list[int] = []
    first_rows: list[int] = []
    for rows in _epochs(plan, lengths, chosen, window):
        first = len(ends)
        for row in rows:
            indices.extend(row)
            ends.append(len(indices))
        first_rows.extend(range(first, len(ends), plan.rows_per_step))
        if plan.length is None:
            continue
        schedule = _schedule(plan, lengths, indices, ends, first_rows)
        if (num_steps := plan.length.num_steps(schedule.num_tokens.tolist())) is not None:
            return schedule.first(num_steps)
        if len(ends) == first:
            break
    return _schedule(plan, lengths, indices, ends, first_rows)


def _schedule(
    plan: TrainingPlan, lengths: Lengths, indices: list[int], ends: list[int], first_rows: list[int]
) -> Schedule:
    import numpy as np

    flat = np.array(indices, dtype=np.int32)
    steps = np.array([0, *ends], dtype=np.int64)[[*first_rows, len(ends)]]
    return Schedule(
        indices=flat,
        ends=np.array(ends, dtype=np.int64),
        first_rows=np.array([*first_rows, len(ends)], dtype=np.int64),
        num_tokens=_sums(lengths.total[flat], steps),
        num_targets=_sums(lengths.targets(plan.loss_on)[flat], steps),
    )


def _epochs(
    plan: TrainingPlan, lengths: Lengths, chosen: "np.ndarray", window: Window
) -> "Iterator[Iterator[list[int]]]":
    import numpy as np

    total = lengths.total.tolist()
    groups = groups_of(lengths, chosen) if plan.shared_prompts else []
    if groups:
        window = window_of_groups(window, len(groups), len(chosen))
    for epoch in range(plan.epochs) if plan.length is None else count():
        order = np.arange(len(groups) or len(chosen))
        if plan.shuffle:
            order = epoch_order(len(order), seed=plan.seed, epoch=epoch, window=window)
        if groups:
            yield pack_groups(total, [groups[index] for index in order.tolist()], plan.max_seq_len)
        else:
            yield pack_rows(total, chosen[order].tolist(), plan.max_seq_len)


def _sums(values: "np.ndarray", bounds: "np.ndarray") -> "np.ndarray":
    """Sums of the values between each two bounds."""
    import numpy as np

    return np.diff(np.concatenate([[0], np.cumsum(values, dtype=np.int64)])[bounds])


def packed_rows(examples: Examples, indices: "np.ndarray", ends: "np.ndarray") -> Iterator[PackedRow]:
    """The rows of a worker's share of a schedule."""
    start = 0
    for end in ends.tolist():
        yield PackedRow.of([examples[index] for index in indices[start:end].tolist()])
        start = end
