"""The tensors of a micro batch: its packed rows one after the other, without padding.

Shape suffixes: T tokens of the micro batch, E examples, L targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from siked_ray.data.payload import TopK, joined
from siked_ray.training.compute.packing import PackedRow

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Batch:
    """`starts_E` are where examples begin; the logits at `predictors_L` are what is held against `targets_L`, of which
    `payload` says what is known (None: nothing of any of them). `wrong_L` has the number of its example for a target of
    a wrong one, and −1 for others (None: there is no wrong one). `is_tag_L`: which targets are of a strategy's tag
    (None: not known).

    Where prompts are shared, an example whose prompt is laid out already is its response alone, and sees
    `prefix_lengths_E` tokens from `prefix_starts_E` on as well; a place may then predict several targets.
    """

    input_ids_T: "np.ndarray"
    position_ids_T: "np.ndarray"
    starts_E: "np.ndarray"
    predictors_L: "np.ndarray"
    targets_L: "np.ndarray"
    payload: TopK | None = None
    wrong_L: "np.ndarray | None" = None
    is_tag_L: "np.ndarray | None" = None
    prefix_starts_E: "np.ndarray | None" = None
    prefix_lengths_E: "np.ndarray | None" = None

    @property
    def ends_E(self) -> "np.ndarray":
        """Where examples end (exclusive)."""
        import numpy as np

        return np.append(self.starts_E[1:], len(self.input_ids_T))


def collate(rows: Sequence[PackedRow], *, pad_token_id: int, loss_on: str, shared_prompts: bool = False) -> Batch:
    """Lay out packed rows. Positions restart with every example. With `shared_prompts` equal prompts are laid out once;
    the targets are the same.

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
    batch = Batch(
        input_ids_T=input_ids_T,
        position_ids_T=position_ids_T,
        starts_E=starts_E,
        predictors_L=targets_at_L - 1,
        targets_L=input_ids_T[targets_at_L],
        payload=_payload_of(rows, position_ids_T >= np.repeat(prompts_E, lengths_E), targets_at_L),
    )
    if any(row.wrong is not None for row in rows):
        batch = replace(batch, wrong_L=_wrong(rows, lengths_E)[targets_at_L])
    if any(row.tag_lengths is not None for row in rows):
        tags_E = np.concatenate([row.num_tag_E for row in rows])
        place_T = position_ids_T - np.repeat(prompts_E, lengths_E)
        is_tag_T = (place_T >= 0) & (place_T < np.repeat(tags_E, lengths_E))
        batch = replace(batch, is_tag_L=is_tag_T[targets_at_L])
    return _with_prompts_once(batch, prompts_E) if shared_prompts else batch


def _wrong(rows: Sequence[PackedRow], lengths_E: "np.ndarray") -> "np.ndarray":
    """The number of its example for each token of a wrong one, −1 for others."""
    import numpy as np

    is_wrong_E = np.concatenate([row.is_wrong_E for row in rows]).astype(bool)
    return np.repeat(np.where(is_wrong_E, np.arange(len(lengths_E)), -1), lengths_E)


def _with_prompts_once(batch: Batch, prompts_E: "np.ndarray") -> Batch:
    """A batch without the prompts that came before in it, of `prompts_E` tokens each."""
    import numpy as np

    computed_at_T = np.arange(len(batch.input_ids_T))
    is_kept_T = np.ones(len(computed_at_T), dtype=bool)
    first_starts: dict[bytes, int] = {}
    for start, length in zip(batch.starts_E.tolist(), prompts_E.tolist(), strict=True):
        prompt = slice(start, start + length)
        first = first_starts.setdefault(batch.input_ids_T[prompt].tobytes(), start)
        if length and first != start:
            is_kept_T[prompt] = False
            computed_at_T[prompt] = np.arange(first, first + length)
    if is_kept_T.all():
        return batch
    now_at_T = (np.cumsum(is_kept_T) - 1)[computed_at_T]
    left_out_E = np.where(is_kept_T[batch.starts_E], 0, prompts_E)
    return replace(
        batch,
        input_ids_T=batch.input_ids_T[is_kept_T],
        position_ids_T=batch.position_ids_T[is_kept_T],
        starts_E=now_at_T[batch.starts_E + left_out_E],
        predictors_L=now_at_T[batch.predictors_L],
        prefix_starts_E=now_at_T[batch.starts_E],
        prefix_lengths_E=left_out_E,
    )


def _payload_of(rows: Sequence[PackedRow], in_response_T: "np.ndarray", targets_at_L: "np.ndarray") -> TopK | None:
    """What is known of each target, out of what is known of all tokens of responses."""
    import numpy as np

    payload = joined([row.payload for row in rows], [int(row.response_lengths.sum()) for row in rows])
    if payload is None:
        return None
    return payload.take(np.where(in_response_T, np.cumsum(in_response_T) - 1, -1)[targets_at_L])


def attention_spans(batch: Batch) -> Mapping[str, "np.ndarray | int"]:
    """Boundaries [E + 1] and longest example, under the names that transformers' attention functions know; where
    prompts are shared, `shared_keys` are the places of all keys, one example's after the other's."""
    import numpy as np

    boundaries = np.append(batch.starts_E, len(batch.input_ids_T)).astype(np.int32)
    longest = int(np.diff(boundaries).max())
    spans: dict[str, np.ndarray | int] = {"cu_seq_lens_q": boundaries, "max_length_q": longest}
    if batch.prefix_starts_E is None or batch.prefix_lengths_E is None:
        return spans | {"cu_seq_lens_k": boundaries, "max_length_k": longest}
    num_keys = np.diff(boundaries) + batch.prefix_lengths_E
    prefixes = zip(batch.prefix_starts_E, batch.prefix_lengths_E, strict=True)
    own = zip(batch.starts_E, batch.ends_E, strict=True)
    places = [
        np.arange(*bounds)
        for (prefix, length), span in zip(prefixes, own, strict=True)
        for bounds in ((prefix, prefix + length), span)
    ]
    return spans | {
        "cu_seq_lens_k": np.append(0, np.cumsum(num_keys)).astype(np.int32),
        "max_length_k": int(num_keys.max()),
        "shared_keys": np.concatenate(places),
    }
