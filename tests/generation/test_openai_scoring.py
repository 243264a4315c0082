"""A server that scores texts, and those that do not."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from siked_ray.data.encoding import load_tokenizer
from siked_ray.errors import StageError
from siked_ray.generation.engines.openai_answers import Garbled
from siked_ray.generation.engines.openai_engine import OpenAIEngine, check_scoring
from siked_ray.generation.engines.openai_scoring import read_scores
from tests.generation.openai_stub import Server, options, running_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TEACHER_KEY", "secret")
    with running_server() as server:
        yield server


def place(token: int) -> dict[str, Any]:
    """As vLLM says it: the text's own token, and the most likely ones with their ranks."""
    likely = {str(token + n): {"logprob": -1.0 - n, "rank": n + 1, "decoded_token": "x"} for n in (2, 0, 1)}
    return likely | {str(token + 50): {"logprob": -9.0, "rank": 51, "decoded_token": "y"}}


def scored(token_ids: list[int]) -> dict[str, Any]:
    choice = {"index": 0, "text": "", "finish_reason": "length"}
    return {"choices": [choice | {"prompt_logprobs": [None, *map(place, token_ids[1:])]}]}


def test_places_are_read_from_the_first_one_on():
    found = read_scores(scored([7, 8, 9, 10]), num_tokens=4, first=2, top_k=3)
    assert found.token_ids_RK.tolist() == [[9, 10, 11], [10, 11, 12]]
    assert found.log_probs_RK[0].tolist() == [-1.0, -2.0, -3.0]
    assert found.log_tail_R[0] == pytest.approx(np.log(1 - np.exp([-1.0, -2.0, -3.0]).sum()), abs=1e-3)


@pytest.mark.parametrize(
    "answer",
    [{"choices": [{"text": "x"}]}, {"choices": []}, scored([1, 2]), {"choices": [{"prompt_logprobs": [{}] * 4}]}],
)
def test_what_is_not_there_is_no_score(answer: dict[str, Any]):
    with pytest.raises(Garbled):
        read_scores(answer, num_tokens=4, first=2, top_k=3)


def vllms_server(tokenizer: Any, cut: Any = None) -> Any:
    def answer(body: dict[str, Any]) -> tuple[int, object]:
        if "prompt_logprobs" in body:
            return 200, scored(body["prompt"])
        if "tokens" in body:
            return 200, {"prompt": tokenizer.decode(body["tokens"])}
        cut_by = cut or (lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])
        return 200, {"tokens": cut_by(body["prompt"])}

    return answer


def test_a_text_is_scored_by_its_tokens(server: Server, tiny_model: str):
    server.dialect = vllms_server(load_tokenizer(tiny_model))
    with closing(OpenAIEngine("big", options(server, "chat"))) as engine:
        found = engine.score([5, 6, 7], 1, 3).result()
    assert found.token_ids_RK[:, 0].tolist() == [6, 7]
    path, body = server.requests[-1]
    assert path == "/v1/completions" and body["prompt"] == [5, 6, 7]
    assert (body["prompt_logprobs"], body["max_tokens"], body["temperature"]) == (3, 1, 0)


def test_a_server_that_scores_with_the_students_tokens_will_do(server: Server, tiny_model: str):
    tokenizer = load_tokenizer(tiny_model)
    server.dialect = vllms_server(tokenizer)
    assert check_scoring("big", options(server), tokenizer, 3) is None
    spelled = [one for path, body in server.requests if path == "/detokenize" for one in body["tokens"]]
    assert set(spelled) | set(tokenizer.all_special_ids) == set(range(len(tokenizer)))
    assert [path for path, _ in server.requests].count("/tokenize") == 1


def test_other_tokens_are_named(server: Server, tiny_model: str):
    tokenizer = load_tokenizer(tiny_model)

    def cut(text: str) -> list[int]:
        return [one + (one > 300) for one in tokenizer(text, add_special_tokens=False)["input_ids"]]

    server.dialect = vllms_server(tokenizer, cut)
    said = check_scoring("big", options(server), tokenizer, 3)
    assert said and "has other tokens than the student (320 tokens), first seen near" in said


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (lambda body: (200, {"choices": [{"text": "x"}]}), "gives no log-probabilities of a prompt"),
        (lambda body: (400, {"error": {"message": "max 20"}}), "gives no 3 log-probabilities of a prompt: .*max 20"),
        (
            lambda body: (200, scored(body["prompt"])) if "prompt_logprobs" in body else (404, {"detail": "Not Found"}),
            "does not say how it cuts texts into tokens",
        ),
    ],
)
def test_a_server_that_cannot_is_told_apart(server: Server, tiny_model: str, dialect: Any, words: str):
    server.dialect = dialect
    said = check_scoring("big", options(server), load_tokenizer(tiny_model), 3)
    assert said and re.search(words, said)


def test_a_server_that_stops_scoring_ends_the_stage(server: Server):
    server.dialect = lambda body: (403, {"error": {"message": "your key may not do this"}})
    with closing(OpenAIEngine("big", options(server))) as engine, pytest.raises(StageError, match="your key"):
        engine.score([1, 2, 3], 1, 3).result()
