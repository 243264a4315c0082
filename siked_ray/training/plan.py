"""The settings of one training stage as plain values, and what they come to in steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siked_ray.training.packing import Lengths, epoch_order, pack_rows

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """How a mixture is trained on. `lora_rank` 0 is full fine-tuning; `micro_batch_size` is per worker, while
    `rows_per_step` is what all workers do together before an update, however many they are. Without `shuffle` the
    rows come in the order of the files, as in a curriculum.

    With `candidates_every` (steps), the weights of those steps and the last ones are candidates: `held_out_fraction` of
    the prompts are kept out of training, and their loss chooses; where it is 0 all candidates are exported.
    """

    seed: int
    shuffle: bool
    epochs: int
    micro_batch_size: int
    rows_per_step: int
    max_seq_len: int
    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    gradient_checkpointing: bool
    loss_on: str
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    zero_stage: int
    precision: str
    trust_remote_code: bool
    offload_optimizer: bool = False
    offload_parameters: bool = False
    candidates_every: int | None = None
    held_out_fraction: float = 0.0

    def num_micro_steps(self, num_workers: int) -> int:
        """Micro steps in which so many workers do the rows of a step; in the last one some may have nothing to do."""
        return -(-self.rows_per_step // (self.micro_batch_size * num_workers))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Packed rows of all epochs, flat: row i holds the examples `indices[ends[i - 1]:ends[i]]`; step s holds the rows
    from `first_rows[s]` to `first_rows[s + 1]`."""

    indices: "np.ndarray"
    ends: "np.ndarray"
    first_rows: "np.ndarray"

    def __len__(self) -> int:
        return len(self.first_rows) - 1

    def rows(self, step: int) -> "list[np.ndarray]":
        """The rows of an optimizer step (0-based), for all workers together."""
        first, last = int(self.first_rows[step]), int(self.first_rows[step + 1])
        starts = [0 if row == 0 else int(self.ends[row - 1]) for row in range(first, last)]
        return [self.indices[start : int(end)] for start, end in zip(starts, self.ends[first:last], strict=True)]


def plan_steps(plan: TrainingPlan, lengths: Lengths) -> Schedule:
    """What every optimizer step of all epochs trains on; the last step of an epoch may have fewer rows."""
    import numpy as np

    indices: list[int] = []
    ends: list[int] = []
    first_rows: list[int] = []
    for rows in _epochs(plan, lengths):
        first = len(ends)
        for row in rows:
            indices.extend(row)
            ends.append(len(indices))
        first_rows.extend(range(first, len(ends), plan.rows_per_step))
    return Schedule(
        indices=np.array(indices, dtype=np.int32),
        ends=np.array(ends, dtype=np.int64),
        first_rows=np.array([*first_rows, len(ends)], dtype=np.int64),
    )


def _epochs(plan: TrainingPlan, lengths: Lengths) -> "Iterator[Iterator[list[int]]]":
    total = lengths.total.tolist()
    for epoch in range(plan.epochs):
        order: Sequence[int] = range(len(total))
        if plan.shuffle:
            order = epoch_order(len(total), seed=plan.seed, epoch=epoch).tolist()
        yield pack_rows(total, order, plan.max_seq_len)
