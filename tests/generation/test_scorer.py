"""What a teacher is asked of training rows, what is stored of it, and how training finds it again."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from siked_ray.core.asks import Rendered
from siked_ray.core.objective import TEACHER_COLUMNS, TEACHER_IDS, TEACHER_LOG_TAIL
from siked_ray.data.encoding import encode_prompt, encode_response, encode_text
from siked_ray.data.payload import TopK
from siked_ray.data.storage import Storage
from siked_ray.data.teacher_columns import OWN_IDS
from siked_ray.generation.engine import EngineFailure, RequestRejected
from siked_ray.generation.scorer import Scored, Scorer, ScoringTask
from siked_ray.generation.scoring_calls import ScoringCall, calls_of, compacted, scored_ids
from siked_ray.training.feed.scores_by_id import ScoresById
from siked_ray.training.feed.tokens import parts_of, tokenise
from tests.training.payloads import assert_said_of, said_of

ROWS = [
    {
        "problem_id": f"p{n % 3}",
        "strategy": "cot",
        "prompt": f"P{n}",
        "response": f"[cot]: So {n}.",
        "request_id": f"r{n}",
    }
    for n in range(150)
]
FOLDER = "scores/teacher/pending"


class FakeTeacher:
    """Says of each token what `said_of` says of it; refuses what is long, and is broken `failures` times."""

    name = "fake"

    def __init__(self, model: str, failures: list[str] | None = None, max_tokens: int = 1000) -> None:
        self.asked: list[list[int]] = []
        self._failures = failures if failures is not None else []
        self._max_tokens = max_tokens

    def score(self, token_ids: list[int], first: int, top_k: int) -> Future[TopK]:
        if self._failures:
            raise EngineFailure(self._failures.pop())
        self.asked.append(token_ids)
        future: Future[TopK] = Future()
        if len(token_ids) > self._max_tokens:
            future.set_exception(RequestRejected("too long"))
        else:
            future.set_result(said_of(np.array(token_ids[first:])))
        return future

    def close(self) -> None: ...


class Asking:
    """A picklable `Render`."""

    stop = ()

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered:
        return Rendered(prompt=f"{requested}? {question}")


RENDER = Asking()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path / "run"))
    storage.write_parquet(
        "problems/train.parquet", pa.table({"problem_id": ["p0", "p1", "p2"], "question": ["a", "b", "c"]})
    )
    storage.write_parquet("rows.parquet", pa.Table.from_pylist(ROWS))
    return storage


def task_of(storage: Storage) -> ScoringTask:
    return ScoringTask(
        storage=storage, rows="rows.parquet", problems="problems/train.parquet", folder=FOLDER, render=RENDER, top_k=2
    )


def scorer(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Scorer:
    monkeypatch.setattr("siked_ray.generation.scorer.redirect_output", lambda path: None)
    return Scorer(lambda folder: FakeTeacher(folder, **options), model, str(tmp_path / "log"))


@pytest.fixture
def scored(storage: Storage, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scorer:
    one = scorer(tiny_model, tmp_path, monkeypatch)
    (call,) = calls_of(storage, "rows.parquet")
    assert one.score(task_of(storage), call, frozenset()).rows == len(ROWS)
    return one


def test_the_teacher_reads_its_own_prompt_and_the_response_without_tag_and_end(scored: Scorer, tiny_model: str):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    prompt = encode_prompt(tokenizer, "cot? b")
    assert scored._engine.asked[1] == [*prompt, *encode_text(tokenizer, " So 1.")]


def test_each_token_of_the_response_has_what_was_said_of_it(storage: Storage, scored: Scorer, tiny_model: str):
    """Nothing of the tag, which the teacher does not write, and of the end, which plain prompts do not have."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert compacted(storage, FOLDER, "scores/teacher/all.parquet") == len(ROWS)
    scores = ScoresById(storage, ["scores/teacher/all.parquet"], student_end=tokenizer.eos_token_id)
    found = scores.columns(["r7", "nobody's", "r149"])
    assert found[TEACHER_IDS][1].as_py() is None
    payload = TopK.from_flat(*(np.array(found[name][0].as_py()) for name in found))
    response = np.array(encode_response(tokenizer, ROWS[7]["response"]))
    num_tag = len(encode_text(tokenizer, "[cot]:"))
    assert payload is not None and len(payload) == len(response)
    assert payload.is_known_R.tolist() == [False] * num_tag + [True] * (len(response) - num_tag - 1) + [False]
    assert_said_of(payload.take(np.arange(num_tag, len(response) - 1)), response[num_tag:-1])


def test_with_a_chat_template_the_end_is_scored_and_the_teachers_counts_for_the_students(
    storage: Storage, make_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = make_model("chat")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %} Answer:"
    tokenizer.save_pretrained(model)
    scorer(model, tmp_path, monkeypatch).score(task_of(storage), ScoringCall(0, 0), frozenset())
    compacted(storage, FOLDER, "all.parquet")
    ours, others = (
        ScoresById(storage, ["all.parquet"], student_end=end).columns(["r3"])[TEACHER_IDS][0].as_py() for end in (1, 0)
    )
    assert ours[-2:] == [1, 0] and others[-2:] == [0, 1], "said_of has the token itself, then its neighbour"
    assert ours[:-2] == others[:-2]


def test_a_call_that_is_repeated_does_what_is_missing(
    storage: Storage, scored: Scorer, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    parts = storage.files(FOLDER, ".parquet")
    assert len(parts) == 3, "of 64 rows"
    storage.delete_file(parts[1])
    again = scorer(tiny_model, tmp_path, monkeypatch)
    assert again.score(task_of(storage), ScoringCall(0, 0), frozenset({"r70"})).rows == 63
    assert scored_ids(storage, FOLDER) == {row["request_id"] for row in ROWS} - {"r70"}


def test_an_engine_that_fails_is_opened_again_and_a_text_that_is_too_long_is_left_out(
    storage: Storage, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    failures = ["lost once", "and again"]
    one = scorer(tiny_model, tmp_path, monkeypatch, failures=failures, max_tokens=5)
    total = one.score(task_of(storage), ScoringCall(0, 0), frozenset())
    assert not failures and total == Scored(rejected=len(ROWS), read_tokens=total.read_tokens)
    with pytest.raises(EngineFailure, match="for good"):
        storage.delete_folder(FOLDER)
        scorer(tiny_model, tmp_path, monkeypatch, failures=["for good"] * 3).score(
            task_of(storage), ScoringCall(0, 0), frozenset()
        )


def test_training_rows_find_their_scores(storage: Storage, scored: Scorer, tiny_model: str):
    """In the chunks that are packed; a row of which nothing is known has cross-entropy alone."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    compacted(storage, FOLDER, "all.parquet")
    rows = [*ROWS[5:8], ROWS[0] | {"request_id": "the student's own"}]
    storage.write_parquet("mixture.parquet", pa.Table.from_pylist(rows))
    (part,) = parts_of(storage, ["mixture.parquet"])
    scores = ScoresById(storage, ["all.parquet"], student_end=1)
    (facts,) = tokenise(storage, part, tokenizer, "tokens", with_teacher=True, scores=scores)
    assert facts["top_k"].to_pylist() == [[2, 2, 2, 0]]
    chunk = storage.read_columns(facts["chunk"][0].as_py(), ["response", TEACHER_LOG_TAIL])
    lengths = [(len(row["response"]), len(row[TEACHER_LOG_TAIL])) for row in chunk.to_pylist()]
    assert [tokens == tails for tokens, tails in lengths] == [True, True, True, False]


def test_the_tail_is_what_the_top_tokens_leave():
    top = TopK.of(np.array([[3, 4], [5, 6]]), np.log([[0.5, 0.25], [0.75, 0.25]]))
    assert top.log_tail_R.tolist() == [np.float16(np.log(0.25)), -np.inf]
    assert top.token_ids_RK.dtype == np.int32 and top.log_probs_RK.dtype == np.float16


def test_a_student_reads_its_own_texts_with_tag_and_end(
    storage: Storage, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    one = scorer(tiny_model, tmp_path, monkeypatch)
    one.score(replace(task_of(storage), own_texts=True), ScoringCall(0, 0), frozenset())
    response = encode_response(tokenizer, ROWS[1]["response"])
    assert one._engine.asked[1] == [*encode_prompt(tokenizer, "cot? b"), *response]
    part = storage.read_parquet(storage.files(FOLDER, ".parquet")[0]).to_pylist()[1]
    assert part[OWN_IDS] == response
    payload = TopK.from_flat(*(np.array(part[name]) for name in TEACHER_COLUMNS))
    assert payload is not None
    num_tag = len(encode_text(tokenizer, "[cot]:"))
    assert payload.is_known_R.tolist() == [False] * num_tag + [True] * (len(response) - num_tag)
    assert_said_of(payload.take(np.arange(num_tag, len(response))), np.array(response[num_tag:]))
