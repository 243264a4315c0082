"""What a teacher could have said of tokens: numbers that differ from token to token and that float16 holds exactly."""

import numpy as np

from siked_ray.core.objective import TEACHER_IDS, TEACHER_LOG_PROBS, TEACHER_LOG_TAIL
from siked_ray.data.payload import TopK


def said_of(tokens: np.ndarray) -> TopK:
    """The teacher's two most likely tokens at each: the token itself and its neighbour."""
    tokens = np.asarray(tokens, dtype=np.int32)
    log_probs = np.stack([-(tokens % 64) / 8, -(tokens % 64) / 8 - 1], axis=1)
    return TopK(np.stack([tokens, tokens ^ 1], axis=1), log_probs.astype(np.float16), -(tokens % 32).astype(np.float16))


def as_columns(payload: TopK) -> dict[str, list[float]]:
    """As rows have it."""
    return {
        TEACHER_IDS: payload.token_ids_RK.ravel().tolist(),
        TEACHER_LOG_PROBS: payload.log_probs_RK.ravel().tolist(),
        TEACHER_LOG_TAIL: payload.log_tail_R.tolist(),
    }


def assert_said_of(payload: TopK, tokens: np.ndarray) -> None:
    """Each token has what the teacher said of that token."""
    expected = said_of(tokens)
    assert payload.token_ids_RK.tolist() == expected.token_ids_RK.tolist()
    assert payload.log_probs_RK.tolist() == expected.log_probs_RK.tolist()
    assert payload.log_tail_R.tolist() == expected.log_tail_R.tolist()
