"""The tokenised mixture: chunks of rows in the run's storage, written once and read by those who need their tokens.

No process ever holds the mixture: rows are streamed out of the Parquet files, and only lengths go on to where the steps
are planned. Chunks outlive the processes that wrote them, so nothing is tokenised twice.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_ray.core.ids import unit_interval
from siked_ray.data.encoding import encode_prompts, encode_responses
from siked_ray.data.storage import Storage
from siked_ray.training.packing import SHUFFLE_BLOCK, SHUFFLE_WINDOW, Example

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Chunks kept in memory: those of the window being packed and of the one before, whose last examples still wait.
_CACHED_CHUNKS = 2 * (SHUFFLE_WINDOW // SHUFFLE_BLOCK) + 2
_FACTS = ["prompt_length", "response_length", "held_out"]
#: Rows that are tokenised by one task, or the rows of one row group where it has more.
_ROWS_PER_PART = 4 * SHUFFLE_BLOCK


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Row groups of the Parquet file `name`, the `file_index`-th of a mixture; their first row is `first_row`."""

    name: str
    file_index: int
    row_groups: tuple[int, ...]
    first_row: int


def parts_of(storage: Storage, names: Sequence[str], rows_per_part: int = _ROWS_PER_PART) -> list[Part]:
    """The mixture's files in parts of `rows_per_part` rows or a few more, in their order."""
    parts: list[Part] = []
    for file_index, name in enumerate(names):
        row_groups: list[int] = []
        first_row = end = 0
        sizes = storage.row_group_sizes(name)
        for index, num_rows in enumerate(sizes):
            row_groups.append(index)
            end += num_rows
            if end - first_row >= rows_per_part or index == len(sizes) - 1:
                part = Part(name=name, file_index=file_index, row_groups=tuple(row_groups), first_row=first_row)
                parts.append(part)
                row_groups, first_row = [], end
    return parts


def tokenise(
    storage: Storage,
    part: Part,
    tokenizer: Any,
    folder: str,
    *,
    held_out_fraction: float = 0.0,
    rows_per_chunk: int = SHUFFLE_BLOCK,
) -> "Iterator[pa.Table]":
    """Write the chunks of a part's rows {prompt, response} that are not there yet; yields one row {chunk,
    prompt_length, response_length, held_out} for each, with the lists of what its rows have.

    Held out are prompts, by their hash, with all responses to them.
    """
    row = part.first_row
    batches = storage.parquet_batches(part.name, ["prompt", "response"], rows_per_chunk, part.row_groups)
    for batch in batches:
        name = f"{folder}/chunk_{part.file_index:04d}_{row:010d}.parquet"
        row += batch.num_rows
        if storage.exists(name):
            chunk = storage.read_columns(name, _FACTS)
        else:
            prompts, responses = (batch.column(column).to_pylist() for column in ("prompt", "response"))
            held_out = [unit_interval("held out", prompt) < held_out_fraction for prompt in prompts]
            chunk = _table(encode_prompts(tokenizer, prompts), encode_responses(tokenizer, responses), held_out)
            storage.write_parquet(name, chunk)
        yield _facts(name, chunk)


def _table(prompts: list[list[int]], responses: list[list[int]], held_out: list[bool]) -> "pa.Table":
    import pyarrow as pa

    return pa.table(
        {
            "prompt": pa.array(prompts, pa.list_(pa.int32())),
            "response": pa.array(responses, pa.list_(pa.int32())),
            "prompt_length": pa.array([len(tokens) for tokens in prompts], pa.int32()),
            "response_length": pa.array([len(tokens) for tokens in responses], pa.int32()),
            "held_out": pa.array(held_out, pa.bool_()),
        }
    )


def _facts(name: str, chunk: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    columns = {column: pa.array([chunk[column].to_numpy()]) for column in _FACTS}
    return pa.table({"chunk": [name], **columns})


@dataclass(frozen=True, slots=True)
class Chunks:
    """Names of a mixture's chunks, in order, and the position in the mixture at which each of them starts."""

    names: tuple[str, ...]
    starts: "np.ndarray"


class TokenisedExamples:
    """Examples by their position in the mixture; the most recent chunks stay in memory."""

    def __init__(self, storage: Storage, chunks: Chunks) -> None:
        self._storage = storage
        self._chunks = chunks
        self._cache: OrderedDict[int, Any] = OrderedDict()

    def __getitem__(self, position: int) -> Example:
        import numpy as np

        chunk = int(np.searchsorted(self._chunks.starts, position, side="right")) - 1
        (prompts, prompt_ends), (responses, response_ends) = self._columns(chunk)
        row = position - int(self._chunks.starts[chunk])
        return Example(
            prompt=prompts[prompt_ends[row] : prompt_ends[row + 1]],
            response=responses[response_ends[row] : response_ends[row + 1]],
        )

    def _columns(self, chunk: int) -> Any:
        if chunk not in self._cache:
            table = self._storage.read_columns(self._chunks.names[chunk], ["prompt", "response"])
            self._cache[chunk] = [_flat(table[name].combine_chunks()) for name in ("prompt", "response")]
            if len(self._cache) > _CACHED_CHUNKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(chunk)
        return self._cache[chunk]


def _flat(column: "pa.ListArray") -> "tuple[np.ndarray, np.ndarray]":
    """Values and offsets of a column of lists."""
    return column.flatten().to_numpy(), column.offsets.to_numpy()
