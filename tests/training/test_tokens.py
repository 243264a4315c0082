"""The mixture in parts, its tokens in chunks, and the same rows out of them."""

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from siked_ray.data.storage import Storage
from siked_ray.training.compute.packing import Window
from siked_ray.training.feed import tokens
from siked_ray.training.feed.tokens import Chunks, TokenisedExamples, parts_of, tokenise

ROWS = [
    {"request_id": f"{i}", "prompt": f"Question {i // 2}", "response": f"[cot]: {'7' * (i % 5)}"} for i in range(23)
]
FILES = ["one.parquet", "two.parquet"]


@pytest.fixture
def tokenizer(tiny_model: str):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def storage(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr("siked_ray.data.storage._ROW_GROUP_SIZE", 5)
    storage = Storage(str(tmp_path))
    storage.write_parquet("one.parquet", pa.Table.from_pylist(ROWS[:14]))
    storage.write_parquet("two.parquet", pa.Table.from_pylist(ROWS[14:]))
    return storage


def written(storage: Storage, tokenizer, *, rows_per_part: int = 7, **options) -> pa.Table:
    parts = parts_of(storage, FILES, rows_per_part)
    return pa.concat_tables(
        table for part in parts for table in tokenise(storage, part, tokenizer, "tokens", rows_per_chunk=4, **options)
    )


def examples(storage: Storage, facts: pa.Table, **options) -> TokenisedExamples:
    starts = np.cumsum([0, *map(len, facts["held_out"])])[:-1]
    return TokenisedExamples(storage, Chunks(tuple(facts["chunk"].to_pylist()), starts, **options))


def flat(facts: pa.Table, column: str) -> list:
    return [value for chunk in facts[column].to_pylist() for value in chunk]


def texts(found: TokenisedExamples, tokenizer) -> list[tuple[str, str]]:
    return [
        (tokenizer.decode(one.prompt), tokenizer.decode(one.response)) for one in (found[i] for i in range(len(ROWS)))
    ]


def test_parts_are_whole_row_groups_in_order(storage: Storage):
    parts = parts_of(storage, FILES, 7)
    assert [(part.name, part.row_groups, part.first_row) for part in parts] == [
        ("one.parquet", (0, 1), 0),
        ("one.parquet", (2,), 10),
        ("two.parquet", (0, 1), 0),
    ]
    assert [len(parts_of(storage, FILES, rows)) for rows in (1, 100)] == [5, 2]


@pytest.mark.parametrize("rows_per_part", [1, 7, 100])
def test_rows_come_in_the_order_of_the_files(rows_per_part: int, storage: Storage, tokenizer):
    facts = written(storage, tokenizer, rows_per_part=rows_per_part)
    found = examples(storage, facts)
    assert texts(found, tokenizer) == [(row["prompt"], f"{row['response']}</s>") for row in ROWS]
    prompt, response, held_out = (flat(facts, name) for name in ("prompt_length", "response_length", "held_out"))
    assert [len(found[i].prompt) for i in range(len(ROWS))] == prompt
    assert [len(found[i].response) for i in range(len(ROWS))] == response
    assert held_out == [False] * len(ROWS)


def test_held_out_prompts_are_held_out_with_all_their_responses(storage: Storage, tokenizer):
    facts = written(storage, tokenizer, held_out_fraction=0.4)
    held_out = flat(facts, "held_out")
    by_prompt = {row["prompt"]: set() for row in ROWS}
    for row, held in zip(ROWS, held_out, strict=True):
        by_prompt[row["prompt"]].add(held)
    assert all(len(found) == 1 for found in by_prompt.values()) and {True, False} == set(held_out)


def test_equal_prompts_are_known_across_files(storage: Storage, tokenizer):
    facts = written(storage, tokenizer, shared_prompts=True)
    ids = flat(facts, "prompt_id")
    by_prompt: dict[str, set[int]] = {}
    for row, number in zip(ROWS, ids, strict=True):
        by_prompt.setdefault(row["prompt"], set()).add(number)
    assert all(len(found) == 1 for found in by_prompt.values()) and len(set(ids)) == len(by_prompt)
    assert written(storage, tokenizer, shared_prompts=True).equals(facts), "out of the chunks that are there"


def test_chunks_that_are_there_are_not_made_again(storage: Storage, tokenizer, monkeypatch: pytest.MonkeyPatch):
    facts = written(storage, tokenizer, held_out_fraction=0.4)
    monkeypatch.setattr(tokens, "encode_prompts", lambda *_: pytest.fail("tokenised again"))
    assert written(storage, tokenizer, held_out_fraction=0.4).equals(facts)


def test_few_chunks_are_held_in_memory(storage: Storage, tokenizer):
    found = examples(storage, written(storage, tokenizer), window=Window(block=4, blocks=1))
    assert [prompt for prompt, _ in texts(found, tokenizer)] == [row["prompt"] for row in ROWS]
    assert len(found._cache) == 4, "of 7, two windows and two more"


def test_wrong_solutions_are_marked(storage: Storage, tokenizer):
    rows = [row | {"source": "wrong" if number % 3 == 0 else "student"} for number, row in enumerate(ROWS)]
    storage.write_parquet("marked.parquet", pa.Table.from_pylist(rows))
    (part,) = parts_of(storage, ["marked.parquet"], 100)
    facts = pa.concat_tables(tokens.tokenise(storage, part, tokenizer, "marked", with_wrong=True, rows_per_chunk=4))
    assert flat(facts, "is_wrong") == [number % 3 == 0 for number in range(len(ROWS))]
    names, sizes = facts["chunk"].to_pylist(), [len(one) for one in facts["is_wrong"]]
    chunks = tokens.Chunks(tuple(names), np.cumsum([0, *sizes])[:-1], with_wrong=True)
    found = tokens.TokenisedExamples(storage, chunks)
    assert [found[i].wrong for i in range(len(ROWS))] == flat(facts, "is_wrong")


def test_the_length_of_a_tag_is_known(storage: Storage, tokenizer):
    rows = [{"prompt": "P", "response": "[cot]: So."}, {"prompt": "P", "response": "Without one."}]
    storage.write_parquet("tagged.parquet", pa.Table.from_pylist(rows))
    (part,) = parts_of(storage, ["tagged.parquet"], 100)
    (facts,) = tokens.tokenise(storage, part, tokenizer, "tagged", with_tags=True)
    chunks = tokens.Chunks(tuple(facts["chunk"].to_pylist()), np.zeros(1, dtype=np.int64), with_tags=True)
    found = tokens.TokenisedExamples(storage, chunks)
    tag = found[0].response[: found[0].num_tag]
    assert tokenizer.decode(tag) == "[cot]:" and found[1].num_tag == 0
