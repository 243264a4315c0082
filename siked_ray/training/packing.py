"""Packing of tokenised examples into rows, as a pure function of lengths and seed.

The packed rows and their order do not depend on the number of workers, only how many of them make an optimizer step;
and every worker can count the tokens of the whole step without asking the others.

Shape suffixes: B rows, T tokens per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Examples among which the packer looks for one that fits; bounds the work per example.
_OPEN_ROWS = 64
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of prompt and response; the response ends with the end-of-sequence token."""

    prompt: "np.ndarray"
    response: "np.ndarray"

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


def epoch_order(num_examples: int, *, seed: int, epoch: int) -> "np.ndarray":
    """A permutation of the examples that depends on seed and epoch alone."""
    import numpy as np

    return np.random.default_rng([seed, epoch]).permutation(num_examples)


def pack_rows(lengths: Sequence[int], order: Sequence[int], max_seq_len: int) -> list[list[int]]:
    """Best fit of the examples, in the given order, into rows of at most `max_seq_len` tokens.

    Returns rows of example indices. Raises ValueError when an example is longer than a row.
    """
    rows: list[list[int]] = []
    open_rows: list[tuple[int, list[int]]] = []
    for index in order:
        length = lengths[index]
        if length > max_seq_len:
            raise ValueError(f"example {index} has {length} tokens and a row {max_seq_len}")
        fitting = [position for position, (room, _) in enumerate(open_rows) if room >= length]
        if fitting:
            position = min(fitting, key=lambda candidate: open_rows[candidate][0])
            room, row = open_rows.pop(position)
        else:
            room, row = max_seq_len, []
            rows.append(row)
        row.append(int(index))
        open_rows.append((room - length, row))
        if len(open_rows) > _OPEN_ROWS:
            open_rows.remove(min(open_rows, key=lambda candidate: candidate[0]))
    return rows


def split_steps(rows: Sequence[list[int]], rows_per_step: int) -> list[Sequence[list[int]]]:
    """The rows of each optimizer step; the last step of an epoch may have fewer."""
    return [rows[first : first + rows_per_step] for first in range(0, len(rows), rows_per_step)]


def rows_of_worker(
    step_rows: Sequence[list[int]], *, rank: int, num_workers: int, micro_batch_size: int, num_micro_steps: int
) -> list[Sequence[list[int]]]:
    """This worker's micro batches of a step: always `num_micro_steps`, some of them empty in a short step."""
    mine = step_rows[rank::num_workers]
    return [mine[i * micro_batch_size : (i + 1) * micro_batch_size] for i in range(num_micro_steps)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays [B, T] of one micro batch; labels are IGNORED where no loss is taken."""

    input_ids_BT: "np.ndarray"
    labels_BT: "np.ndarray"
    position_ids_BT: "np.ndarray"

    @property
    def num_loss_tokens(self) -> int:
        return int((self.labels_BT[:, 1:] != IGNORED).sum())


def collate(
    rows: Sequence[list[int]], examples: Sequence[Example], *, max_seq_len: int, pad_token_id: int, loss_on: str
) -> Batch:
    """Lay out packed rows. Positions restart with every example, which is also what keeps examples apart.

    The first token of an example is never a target. An empty batch becomes one row of padding without loss.
    """
    import numpy as np

    num_rows = max(len(rows), 1)
    input_ids_BT = np.full((num_rows, max_seq_len), pad_token_id, dtype=np.int64)
    labels_BT = np.full((num_rows, max_seq_len), IGNORED, dtype=np.int64)
    position_ids_BT = np.zeros((num_rows, max_seq_len), dtype=np.int64)
    for row_index, row in enumerate(rows):
        start = 0
        for example in (examples[index] for index in row):
            end, response = start + len(example), start + len(example.prompt)
            input_ids_BT[row_index, start:response] = example.prompt
            input_ids_BT[row_index, response:end] = example.response
            first_target = max(response, start + 1) if loss_on == "response" else start + 1
            labels_BT[row_index, first_target:end] = input_ids_BT[row_index, first_target:end]
            position_ids_BT[row_index, start:end] = np.arange(end - start)
            start = end
        position_ids_BT[row_index, start:] = np.arange(max_seq_len - start)
    if not rows:
        position_ids_BT[0] = np.arange(max_seq_len)
    return Batch(input_ids_BT=input_ids_BT, labels_BT=labels_BT, position_ids_BT=position_ids_BT)


def num_loss_tokens(row: Sequence[int], examples: Sequence[Example], loss_on: str) -> int:
    """Targets of a packed row, counted without laying it out."""
    picked = [examples[index] for index in row]
    if loss_on == "response":
        return sum(len(example.response) - (len(example.prompt) == 0) for example in picked)
    return sum(len(example) - 1 for example in picked)
