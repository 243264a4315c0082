"""The tokenised mixture: chunks in the run's storage, each written by one worker and read by those who need it.

Rows are streamed out of the Parquet files, so no worker and no driver ever holds the mixture; lengths alone are read by
all, because the plan of the steps is made of them. Chunks outlive a lost worker, so nothing is tokenised twice.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_ray.core.ids import unit_interval
from siked_ray.data.encoding import encode_prompts, encode_responses
from siked_ray.data.storage import Storage
from siked_ray.training.packing import SHUFFLE_BLOCK, SHUFFLE_WINDOW, Example, Lengths

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Chunks kept in memory: those of the window being packed and of the one before, whose last examples still wait.
_CACHED_CHUNKS = 2 * (SHUFFLE_WINDOW // SHUFFLE_BLOCK) + 2


@dataclass(frozen=True, slots=True)
class TokenChunks:
    """Where the chunks of a mixture lie: `folder` in `storage`."""

    storage: Storage
    folder: str

    def name(self, index: int) -> str:
        return f"{self.folder}/chunk_{index:06d}.parquet"

    def open(self, index: int) -> Any:
        import pyarrow.parquet as pq
        from pyarrow.fs import FileSystem

        filesystem, path = FileSystem.from_uri(self.storage.path(self.name(index)))
        return pq.ParquetFile(path, filesystem=filesystem)


def tokenise(
    storage: Storage,
    names: Sequence[str],
    tokenizer: Any,
    chunks: TokenChunks,
    *,
    rank: int,
    num_workers: int,
    held_out_fraction: float = 0.0,
    rows_per_chunk: int = SHUFFLE_BLOCK,
) -> int:
    """Write those chunks of the rows {prompt, response} that are this worker's and are not there yet; returns how many
    chunks there are in all. Held out are prompts, by their hash, so that all responses to a prompt go together."""
    num_chunks = 0
    for index, batch in enumerate(_batches(storage, names, rows_per_chunk)):
        num_chunks = index + 1
        if index % num_workers != rank or chunks.storage.exists(chunks.name(index)):
            continue
        prompts, responses = (batch.column(name).to_pylist() for name in ("prompt", "response"))
        held_out = [unit_interval("held out", prompt) < held_out_fraction for prompt in prompts]
        table = _table(encode_prompts(tokenizer, prompts), encode_responses(tokenizer, responses), held_out)
        chunks.storage.write_parquet(chunks.name(index), table)
    return num_chunks


def _batches(storage: Storage, names: Sequence[str], rows_per_chunk: int) -> "Iterator[pa.RecordBatch]":
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem

    for name in names:
        filesystem, path = FileSystem.from_uri(storage.path(name))
        with pq.ParquetFile(path, filesystem=filesystem) as file:
            yield from file.iter_batches(rows_per_chunk, columns=["prompt", "response"])


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


class TokenisedRows:
    """Some of the rows as examples by index, in the order of the files; the most recent chunks stay in memory."""

    def __init__(self, chunks: TokenChunks, starts: "np.ndarray", places: "np.ndarray", lengths: Lengths) -> None:
        self._chunks = chunks
        self._starts = starts
        self._places = places
        self.lengths = lengths
        self._cache: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Example:
        import numpy as np

        place = int(self._places[index])
        chunk = int(np.searchsorted(self._starts, place, side="right")) - 1
        (prompts, prompt_ends), (responses, response_ends) = self._columns(chunk)
        row = place - int(self._starts[chunk])
        return Example(
            prompt=prompts[prompt_ends[row] : prompt_ends[row + 1]],
            response=responses[response_ends[row] : response_ends[row + 1]],
        )

    def _columns(self, chunk: int) -> Any:
        if chunk not in self._cache:
            table = self._chunks.open(chunk).read(["prompt", "response"])
            self._cache[chunk] = [_flat(table[name].combine_chunks()) for name in ("prompt", "response")]
            if len(self._cache) > _CACHED_CHUNKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(chunk)
        return self._cache[chunk]


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A mixture's rows, those held out, and how many were left out because they are longer than a packed row."""

    train: TokenisedRows
    held_out: TokenisedRows
    num_skipped: int


def open_rows(chunks: TokenChunks, num_chunks: int, max_seq_len: int) -> Tokenised:
    """Readers of all chunks; reads the lengths only."""
    import numpy as np
    import pyarrow as pa

    columns = ["prompt_length", "response_length", "held_out"]
    tables = [chunks.open(index).read(columns) for index in range(num_chunks)]
    starts = np.concatenate([[0], np.cumsum([len(table) for table in tables])])[:-1]
    table = pa.concat_tables(tables)
    prompt, response, held_out = (table[name].to_numpy() for name in columns)
    fits = prompt + response <= max_seq_len

    def rows(mask: "np.ndarray") -> TokenisedRows:
        return TokenisedRows(chunks, starts, np.flatnonzero(mask), Lengths(prompt[mask], response[mask]))

    return Tokenised(
        train=rows(fits & ~held_out), held_out=rows(fits & held_out), num_skipped=int(len(fits) - fits.sum())
    )


def _flat(column: "pa.ListArray") -> "tuple[np.ndarray, np.ndarray]":
    """Values and offsets of a column of lists."""
    return column.flatten().to_numpy(), column.offsets.to_numpy()
