"""The tensors of a micro batch: its packed rows one after the other, without padding.

Shape suffixes: T tokens of the micro batch, E examples, L targets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from siked_ray.training.packing import Example

if TYPE_CHECKING:
    import numpy as np


class Examples(Protocol):
    """Examples by index: a list, or a reader that fetches them as they are needed."""

    def __getitem__(self, index: int, /) -> Example: ...


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


def collate(
    rows: "Iterable[Iterable[int] | np.ndarray]", examples: Examples, *, pad_token_id: int, loss_on: str
) -> Batch:
    """Lay out packed rows. Positions restart with every example.

    The first token of an example is never a target. An empty batch becomes one padding token without loss, so that
    every worker takes part in every micro step.
    """
    import numpy as np

    picked = [examples[int(index)] for row in rows for index in row]
    if not picked:
        none, zero = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
        return Batch(np.full(1, pad_token_id, dtype=np.int64), zero, zero, none, none)
    lengths = np.array([len(example) for example in picked])
    starts_E = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    input_ids_T = np.concatenate([part for e in picked for part in (e.prompt, e.response)]).astype(np.int64)
    firsts = starts_E + np.array([_first_target(example, loss_on) for example in picked])
    spans = zip(firsts, starts_E + lengths, strict=True)
    targets_at_L = np.concatenate([np.arange(first, end) for first, end in spans])
    return Batch(
        input_ids_T=input_ids_T,
        position_ids_T=np.arange(len(input_ids_T)) - np.repeat(starts_E, lengths),
        starts_E=starts_E,
        predictors_L=targets_at_L - 1,
        targets_L=input_ids_T[targets_at_L],
    )


def _first_target(example: Example, loss_on: str) -> int:
    return max(len(example.prompt), 1) if loss_on == "response" else 1


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
