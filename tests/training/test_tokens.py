"""Tokenised chunks: written by share, read as examples, the same for any number of workers."""

import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from siked_ray.data.storage import Storage
from siked_ray.training import tokens
from siked_ray.training.tokens import TokenChunks, open_rows, tokenise

ROWS = [
    {"request_id": f"{i}", "prompt": f"Question {i // 2}", "response": f"[cot]: {'7' * (i % 5)}"} for i in range(23)
]


@pytest.fixture
def tokenizer(tiny_model: str):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(str(tmp_path))
    storage.write_parquet("one.parquet", pa.Table.from_pylist(ROWS[:14]))
    storage.write_parquet("two.parquet", pa.Table.from_pylist(ROWS[14:]))
    return storage


def written(storage: Storage, tokenizer, folder: str, num_workers: int, **options) -> tuple[TokenChunks, int]:
    chunks = TokenChunks(storage, folder)
    counts = {
        tokenise(
            storage,
            ["one.parquet", "two.parquet"],
            tokenizer,
            chunks,
            rank=rank,
            num_workers=num_workers,
            rows_per_chunk=4,
            **options,
        )
        for rank in range(num_workers)
    }
    (num_chunks,) = counts
    return chunks, num_chunks


def texts(rows, tokenizer) -> list[tuple[str, str]]:
    examples = [rows[index] for index in range(len(rows))]
    return [(tokenizer.decode(one.prompt), tokenizer.decode(one.response)) for one in examples]


@pytest.mark.parametrize("num_workers", [1, 3])
def test_rows_come_in_the_order_of_the_files(num_workers: int, storage: Storage, tokenizer):
    chunks, num_chunks = written(storage, tokenizer, "tokens", num_workers)
    assert num_chunks == 4 + 3
    data = open_rows(chunks, num_chunks, 1000)
    assert texts(data.train, tokenizer) == [(row["prompt"], f"{row['response']}</s>") for row in ROWS]
    assert (len(data.held_out), data.num_skipped) == (0, 0)
    sizes = [(len(data.train[index].prompt), len(data.train[index].response)) for index in range(len(ROWS))]
    assert sizes == list(zip(data.train.lengths.prompt, data.train.lengths.response, strict=True))


def test_rows_longer_than_a_packed_row_are_left_out_and_counted(storage: Storage, tokenizer):
    chunks, num_chunks = written(storage, tokenizer, "tokens", 1)
    everything = open_rows(chunks, num_chunks, 1000).train.lengths.total
    limit = int(everything.max()) - 1
    data = open_rows(chunks, num_chunks, limit)
    assert data.num_skipped == (everything > limit).sum() > 0
    kept = [row for row, length in zip(ROWS, everything, strict=True) if length <= limit]
    assert [prompt for prompt, _ in texts(data.train, tokenizer)] == [row["prompt"] for row in kept]


def test_held_out_prompts_are_held_out_with_all_their_responses(storage: Storage, tokenizer):
    chunks, num_chunks = written(storage, tokenizer, "tokens", 2, held_out_fraction=0.4)
    data = open_rows(chunks, num_chunks, 1000)
    train, held_out = ({prompt for prompt, _ in texts(part, tokenizer)} for part in (data.train, data.held_out))
    assert held_out and train and not train & held_out
    assert len(data.train) + len(data.held_out) == len(ROWS)


def test_chunks_that_are_there_are_not_made_again(storage: Storage, tokenizer, monkeypatch: pytest.MonkeyPatch):
    chunks, num_chunks = written(storage, tokenizer, "tokens", 2)
    monkeypatch.setattr(tokens, "encode_prompts", lambda *_: pytest.fail("tokenised again"))
    assert written(storage, tokenizer, "tokens", 1) == (chunks, num_chunks)


def test_few_chunks_are_held_in_memory(storage: Storage, tokenizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens, "_CACHED_CHUNKS", 2)
    chunks, num_chunks = written(storage, tokenizer, "tokens", 1)
    rows = open_rows(chunks, num_chunks, 1000).train
    assert [prompt for prompt, _ in texts(rows, tokenizer)] == [row["prompt"] for row in ROWS]
    assert len(rows._cache) == 2
