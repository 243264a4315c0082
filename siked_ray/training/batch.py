"""The tensors of a micro batch: its packed rows one after the other, without padding.

Shape suffixes: T tokens of the micro batch, E examples, L targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siked_ray.training.packing import PackedRow

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Batch:
    """`starts_E` are where examples begin; the logits at `predictors_L` are what is held against `targets_L`."""

    input_ids_T: "np.ndarray"
    position_ids_T: "np.ndarray"
    starts_E: "np.ndarray"
    predictors_L: "np.ndarray"
    targets_L: "np.ndarray"

    @property
    def ends_E(self) -> "np.ndarray":
        """Where examples end (exclusive)."""
        import numpy as np

        return np.append(self.starts_E[1:], len(self.input_ids_T))


def collate(rows: Sequence[PackedRow], *, pad_token_id: int, loss_on: str) -> Batch:
    """Lay out packed rows. Positions restart with every example.

    The first token of an example is never a target. An empty batch becomes one padding token without loss, so that
    every worker takes part in every micro step.
    """
    import numpy as np

    if not rows:
        none, zero = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
        return Batch(np.full(1, pad_token_id, dtype=np.int64), zero, zero, none, none)
    input_ids_T = np.concatenate([row.tokens for row in rows]).astype(np.int64)
    prompts_E, responses_E = (
        np.concatenate([getattr(row, name) for row in rows]).astype(np.int64)
        for name in ("prompt_lengths", "response_lengths")
    )
    lengths_E = prompts_E + responses_E
    starts_E = np.cumsum(lengths_E) - lengths_E
    position_ids_T = np.arange(len(input_ids_T)) - np.repeat(starts_E, lengths_E)
    first_targets_E = np.maximum(prompts_E, 1) if loss_on == "response" else np.ones_like(prompts_E)
    targets_at_L = np.flatnonzero(position_ids_T >= np.repeat(first_targets_E, lengths_E))
    return Batch(
        input_ids_T=input_ids_T,
        position_ids_T=position_ids_T,
        starts_E=starts_E,
        predictors_L=targets_at_L - 1,
        targets_L=input_ids_T[targets_at_L],
    )


def labels_of(batch: Batch, *, ignored: int) -> "np.ndarray":
    """Labels [T] as transformers takes them, which shifts them by one: `ignored` where no loss is taken."""
    import numpy as np

    labels_T = np.full(len(batch.input_ids_T), ignored, dtype=np.int64)
    labels_T[batch.predictors_L + 1] = batch.targets_L
    return labels_T


def attention_spans(batch: Batch) -> Mapping[str, "np.ndarray | int"]:
    """Boundaries [E + 1] and longest example, under the names that transformers' attention functions know."""
    import numpy as np

    boundaries = np.append(batch.starts_E, len(batch.input_ids_T)).astype(np.int32)
    longest = int(np.diff(boundaries).max())
    return {
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
    }
