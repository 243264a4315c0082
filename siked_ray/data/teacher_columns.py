"""The teacher's probabilities as columns of tables: as rows bring them, and as chunks and shards carry them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siked_ray.core.objective import TEACHER_COLUMNS, TEACHER_IDS, TEACHER_LOG_PROBS, TEACHER_LOG_TAIL
from siked_ray.data.payload import TopK
from siked_ray.errors import StageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: A column of chunks: how many likely tokens of the teacher a row has at each of its own; 0 where it has none.
TOP_K = "top_k"
#: A column of a model's scores of its own texts: the ids of their tokens.
OWN_IDS = "token_ids"
#: A file of scores says here, beside its columns, which is the teacher's end-of-sequence token.
TEACHER_END = "teacher_end"


def _types() -> "dict[str, pa.DataType]":
    """What the lists of each column hold, in memory and on disk."""
    import pyarrow as pa

    return {TEACHER_IDS: pa.int32(), TEACHER_LOG_PROBS: pa.float16(), TEACHER_LOG_TAIL: pa.float16()}


def teacher_columns(payloads: Sequence[TopK | None]) -> "dict[str, pa.ListArray]":
    """TEACHER_COLUMNS of some rows; those of which nothing is known have empty lists."""
    import numpy as np
    import pyarrow as pa

    rows = [TopK.unknown(0, 1) if payload is None else payload for payload in payloads]
    by_column = zip(*((row.token_ids_RK, row.log_probs_RK, row.log_tail_R) for row in rows), strict=True)
    return {
        name: _lists([array.size for array in arrays], pa.array(np.concatenate([a.ravel() for a in arrays]), dtype))
        for (name, dtype), arrays in zip(_types().items(), by_column, strict=True)
    }


def checked(batch: "pa.RecordBatch", response_lengths: "np.ndarray", file: str) -> "dict[str, pa.Array]":
    """TEACHER_COLUMNS of rows of a file, as chunks hold them, and TOP_K; raises StageError where a row's do not fit its
    response."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = [name for name in TEACHER_COLUMNS if name not in batch.schema.names]
    if missing:
        raise StageError(f"The rows in {file} have no {missing[0]}: the teacher has not scored them.")
    num_ids, num_log_probs, num_tokens = (
        pc.list_value_length(batch.column(name)).fill_null(0).to_numpy() for name in TEACHER_COLUMNS
    )
    wrong = np.flatnonzero((num_tokens > 0) & (num_tokens != response_lengths))
    if len(wrong):
        raise StageError(
            f"The teacher's probabilities in {file} do not fit: one row has them for {num_tokens[wrong[0]]} tokens "
            f"and a response of {response_lengths[wrong[0]]}; was the teacher's tokenizer another one?"
        )
    top_k = num_ids // np.maximum(num_tokens, 1)
    complete = (num_ids == top_k * num_tokens) & (num_ids == num_log_probs) & ((top_k > 0) == (num_tokens > 0))
    if not complete.all():
        raise StageError(
            f"The teacher's probabilities in {file} are incomplete: {TEACHER_IDS} and {TEACHER_LOG_PROBS} need the "
            f"same number of values for each token in {TEACHER_LOG_TAIL}."
        )
    lengths = (num_ids, num_log_probs, num_tokens)
    columns = {
        name: _lists(length, batch.column(name).flatten().cast(dtype))
        for (name, dtype), length in zip(_types().items(), lengths, strict=True)
    }
    return columns | {TOP_K: pa.array(top_k, pa.int32())}


def check_top_k(top_k: "np.ndarray") -> None:
    """Raises StageError unless some rows have the teacher's probabilities, and all that do have equally many."""
    found = sorted({*top_k.tolist()} - {0})
    if not found:
        raise StageError("None of the rows has the teacher's probabilities, which training.objective reads.")
    if len(found) > 1:
        raise StageError(
            f"The rows have the teacher's {' or '.join(map(str, found))} most likely tokens, and cannot be packed "
            "together; let the teacher score all of them with the same number."
        )


def _lists(lengths: Any, values: "pa.Array") -> "pa.ListArray":
    import numpy as np
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), values)
