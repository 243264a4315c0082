"""The tokenised mixture: chunks of rows in the run's storage, written once and read by those who need their tokens.

No process ever holds the mixture: rows are streamed out of the Parquet files, and only lengths go on to where the steps
are planned. Chunks outlive the processes that wrote them, so nothing is tokenised twice.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.core.ids import unit_interval
from siked_ray.core.objective import TEACHER_COLUMNS, WRONG
from siked_ray.data.encoding import encode_prompts, encode_responses, encode_texts, split_tag
from siked_ray.data.payload import TopK
from siked_ray.data.storage import Storage
from siked_ray.data.teacher_columns import TOP_K, checked
from siked_ray.training.compute.packing import OF_TOKENS, OF_TOKENS_WITH_TEACHER, Example, Window, prompt_id
from siked_ray.training.feed.scores_by_id import ScoresById

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_FACTS = ["prompt_length", "response_length", "held_out"]
_TEXTS = ["prompt", "response"]
_ID, _SOURCE = "request_id", "source"
#: A column of chunks, where prompts are shared: equal for equal prompts.
PROMPT_ID = "prompt_id"
#: A column of chunks, where wrong solutions are corrected: whether a row is one.
IS_WRONG = "is_wrong"
#: A column of chunks, where the student is held against a teacher: tokens of the response's tag.
NUM_TAG = "num_tag"
#: Rows that are tokenised by one task, or the rows of one row group where it has more.
_ROWS_PER_PART = 4 * OF_TOKENS.block


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
    with_teacher: bool = False,
    chat: ChatFormat = PLAIN,
    shared_prompts: bool = False,
    rows_per_chunk: int | None = None,
    scores: ScoresById | None = None,
    with_wrong: bool = False,
    with_tags: bool = False,
) -> "Iterator[pa.Table]":
    """Write the chunks of a part's rows {prompt, response} that are not there yet; yields one row {chunk,
    prompt_length, response_length, held_out} for each, with the lists of what its rows have.

    Held out are prompts, by their hash, with all responses to them. `with_teacher`, rows have TEACHER_COLUMNS as well,
    or `scores` have them by the rows' request_id; chunks have TOP_K besides, and TOP_K is yielded too; raises
    StageError where those do not fit the response's tokens. With
    `shared_prompts`, chunks have PROMPT_ID, and it is yielded too; `with_wrong`, IS_WRONG. `with_tags`, chunks
    have NUM_TAG.
    """
    import pyarrow as pa

    row = part.first_row
    columns = [
        *_TEXTS,
        *([_SOURCE] if with_wrong else ()),
        *(([_ID] if scores else TEACHER_COLUMNS) if with_teacher else ()),
    ]
    facts = [*_FACTS, *([TOP_K] if with_teacher else ()), *([PROMPT_ID] if shared_prompts else ())]
    facts += [IS_WRONG] if with_wrong else []
    size = rows_per_chunk or window_of(with_teacher).block
    for batch in storage.parquet_batches(part.name, columns, size, part.row_groups):
        name = f"{folder}/chunk_{part.file_index:04d}_{row:010d}.parquet"
        row += batch.num_rows
        if storage.exists(name):
            chunk = storage.read_columns(name, facts)
        else:
            chunk = _chunk(batch, tokenizer, held_out_fraction, chat)
            if with_teacher:
                batch = _with_scores(batch, scores) if scores else batch
                for column, values in checked(batch, chunk["response_length"].to_numpy(), part.name).items():
                    chunk = chunk.append_column(column, values)
            if with_wrong:
                wrong = [source == WRONG for source in batch.column(_SOURCE).to_pylist()]
                chunk = chunk.append_column(IS_WRONG, pa.array(wrong, pa.bool_()))
            if with_tags:
                tags = encode_texts(tokenizer, [split_tag(text)[0] for text in batch.column("response").to_pylist()])
                chunk = chunk.append_column(NUM_TAG, pa.array(list(map(len, tags)), pa.int32()))
            if shared_prompts:
                ids = [prompt_id(tokens) for tokens in chunk["prompt"].to_pylist()]
                chunk = chunk.append_column(PROMPT_ID, pa.array(ids, pa.int64()))
            storage.write_parquet(name, chunk)
        yield _facts(name, chunk, facts)


def _with_scores(batch: "pa.RecordBatch", scores: ScoresById) -> "pa.RecordBatch":
    import pyarrow as pa

    found = scores.columns(batch.column(_ID).to_pylist())
    return pa.RecordBatch.from_arrays([*batch.columns, *found.values()], names=[*batch.schema.names, *found])


def window_of(with_teacher: bool) -> Window:
    """What is in memory at a time of rows with or without the teacher's probabilities."""
    return OF_TOKENS_WITH_TEACHER if with_teacher else OF_TOKENS


def _chunk(batch: "pa.RecordBatch", tokenizer: Any, held_out_fraction: float, chat: ChatFormat) -> "pa.Table":
    import pyarrow as pa

    texts, answers = (batch.column(column).to_pylist() for column in _TEXTS)
    held_out = [unit_interval("held out", text) < held_out_fraction for text in texts]
    prompts, responses = encode_prompts(tokenizer, texts, chat), encode_responses(tokenizer, answers)
    return pa.table(
        {
            "prompt": pa.array(prompts, pa.list_(pa.int32())),
            "response": pa.array(responses, pa.list_(pa.int32())),
            "prompt_length": pa.array([len(tokens) for tokens in prompts], pa.int32()),
            "response_length": pa.array([len(tokens) for tokens in responses], pa.int32()),
            "held_out": pa.array(held_out, pa.bool_()),
        }
    )


def _facts(name: str, chunk: "pa.Table", facts: list[str]) -> "pa.Table":
    import pyarrow as pa

    columns = {column: pa.array([chunk[column].to_numpy()]) for column in facts}
    return pa.table({"chunk": [name], **columns})


@dataclass(frozen=True, slots=True)
class Chunks:
    """Names of a mixture's chunks, in order, and the position in the mixture at which each of them starts; whether they
    have TEACHER_COLUMNS, IS_WRONG and NUM_TAG, and how many of them are read at a time."""

    names: tuple[str, ...]
    starts: "np.ndarray"
    with_teacher: bool = False
    window: Window = OF_TOKENS
    with_wrong: bool = False
    with_tags: bool = False


class TokenisedExamples:
    """Examples by their position in the mixture; the most recent chunks stay in memory."""

    def __init__(self, storage: Storage, chunks: Chunks) -> None:
        self._storage = storage
        self._chunks = chunks
        self._cache: OrderedDict[int, Any] = OrderedDict()

    def __getitem__(self, position: int) -> Example:
        import numpy as np

        chunk = int(np.searchsorted(self._chunks.starts, position, side="right")) - 1
        row = position - int(self._chunks.starts[chunk])
        lists, wrong, tags = self._columns(chunk)
        prompt, response, *payload = (values[ends[row] : ends[row + 1]] for values, ends in lists)
        is_wrong = bool(wrong[row]) if wrong is not None else False
        num_tag = int(tags[row]) if tags is not None else 0
        return Example(prompt, response, TopK.from_flat(*payload) if payload else None, is_wrong, num_tag)

    def _columns(self, chunk: int) -> Any:
        if chunk not in self._cache:
            columns = [*_TEXTS, *(TEACHER_COLUMNS if self._chunks.with_teacher else ())]
            marked = [IS_WRONG] if self._chunks.with_wrong else []
            marked += [NUM_TAG] if self._chunks.with_tags else []
            table = self._storage.read_columns(self._chunks.names[chunk], [*columns, *marked])
            wrong, tags = (table[one].to_numpy() if one in marked else None for one in (IS_WRONG, NUM_TAG))
            self._cache[chunk] = ([_flat(table[name].combine_chunks()) for name in columns], wrong, tags)
            if len(self._cache) > self._chunks.window.num_blocks_in_memory:
                self._cache.popitem(last=False)
        self._cache.move_to_end(chunk)
        return self._cache[chunk]


def _flat(column: "pa.ListArray") -> "tuple[np.ndarray, np.ndarray]":
    """Values and offsets of a column of lists."""
    return column.flatten().to_numpy(), column.offsets.to_numpy()
