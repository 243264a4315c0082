"""What a target can carry beside its token: the teacher's most likely tokens there, and how likely each is.

Shape suffixes: R tokens, K most likely tokens of the teacher at each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_NO_TOKEN = -1


@dataclass(frozen=True, slots=True)
class TopK:
    """Token ids (int32), log-probabilities (float16), and the log of the probability of all other tokens (float16).

    6 K + 2 bytes a token. Where nothing is known of a token, its ids are negative.
    """

    token_ids_RK: "np.ndarray"
    log_probs_RK: "np.ndarray"
    log_tail_R: "np.ndarray"

    def __len__(self) -> int:
        return len(self.log_tail_R)

    @classmethod
    def of(cls, token_ids_RK: "np.ndarray", log_probs_RK: "np.ndarray") -> "TopK":
        """From ids and log-probabilities in higher precision, of which the tail is what is left."""
        import numpy as np

        tail_R = 1 - np.exp(log_probs_RK.astype(np.float64)).sum(axis=1)
        with np.errstate(divide="ignore"):
            log_tail_R = np.log(tail_R.clip(min=0))
        return cls(token_ids_RK.astype(np.int32), log_probs_RK.astype(np.float16), log_tail_R.astype(np.float16))

    @classmethod
    def from_flat(cls, token_ids: "np.ndarray", log_probs: "np.ndarray", log_tail: "np.ndarray") -> "TopK | None":
        """From ids and log-probabilities of one token after the other; None of no tokens."""
        num_tokens = len(log_tail)
        if not num_tokens:
            return None
        return cls(token_ids.reshape(num_tokens, -1), log_probs.reshape(num_tokens, -1), log_tail)

    @classmethod
    def unknown(cls, num_tokens: int, k: int) -> "TopK":
        """So many tokens of which nothing is known."""
        import numpy as np

        return cls(
            np.full((num_tokens, k), _NO_TOKEN, dtype=np.int32),
            np.zeros((num_tokens, k), dtype=np.float16),
            np.zeros(num_tokens, dtype=np.float16),
        )

    @property
    def is_known_R(self) -> "np.ndarray":
        return self.token_ids_RK[:, 0] != _NO_TOKEN

    def take(self, places: "np.ndarray") -> "TopK":
        """What is known at some places; nothing where a place is negative."""
        import numpy as np

        token_ids = np.where((places >= 0)[:, None], self.token_ids_RK[places], np.int32(_NO_TOKEN))
        return TopK(token_ids, self.log_probs_RK[places], self.log_tail_R[places])


def joined(payloads: "Sequence[TopK | None]", lengths: "Sequence[int] | np.ndarray") -> TopK | None:
    """Payloads one after the other, of `lengths` tokens each; None where nothing is known of any of them."""
    import numpy as np

    known = next((payload for payload in payloads if payload is not None), None)
    if known is None:
        return None
    k = known.token_ids_RK.shape[1]
    whole = [
        TopK.unknown(length, k) if payload is None else payload
        for payload, length in zip(payloads, lengths, strict=True)
    ]
    return TopK(
        np.concatenate([payload.token_ids_RK for payload in whole]),
        np.concatenate([payload.log_probs_RK for payload in whole]),
        np.concatenate([payload.log_tail_R for payload in whole]),
    )
