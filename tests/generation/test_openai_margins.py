"""Servers that say how sure their models are, and those that do not."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from siked_ray.core.margin import Margin
from siked_ray.errors import ModelError
from siked_ray.generation.engine import Prompt, SamplingParameters
from siked_ray.generation.engines.openai_answers import Garbled
from siked_ray.generation.engines.openai_engine import OpenAIEngine, check_margins
from siked_ray.generation.engines.openai_margins import read_margin
from siked_ray.preflight.margins import check_margins as check_margins_of
from tests.generation.openai_stub import Server, options, running_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TEACHER_KEY", "secret")
    with running_server() as server:
        yield server


PLACES = [("[", [-0.1, -9.1]), ("cot", [-0.5, -1.0]), ("]:", [-0.1, -7.1]), (" 4", [-0.2, -1.4])]


def chat(places: list[tuple[str, list[float]]] = PLACES) -> dict[str, Any]:
    content = [
        {"token": text, "logprob": best[0], "top_logprobs": [{"token": "x", "logprob": one} for one in best]}
        for text, best in places
    ]
    message = {"role": "assistant", "content": "".join(text for text, _ in places)}
    return {"choices": [{"message": message, "finish_reason": "stop", "logprobs": {"content": content}}]}


def completion(places: list[tuple[str, list[float]]] = PLACES) -> dict[str, Any]:
    """vLLM's server adds the decoded token where it was none of the most likely ones."""
    best = [{"a": values[0], "b": values[1], "decoded": -12.0} for _, values in places]
    said = {"tokens": [text for text, _ in places], "top_logprobs": best}
    return {"choices": [{"text": "".join(said["tokens"]), "finish_reason": "stop", "logprobs": said}]}


@pytest.mark.parametrize("answer", [chat(), completion()])
def test_margins_are_differences_of_the_two_highest(answer: dict[str, Any]):
    assert read_margin(answer, Margin.FIRST_TOKEN) == pytest.approx(9.0)
    assert read_margin(answer, Margin.TAG) == pytest.approx(0.5)
    assert read_margin(answer, Margin.MEAN) == pytest.approx((9 + 0.5 + 7 + 1.2) / 4)


def test_an_empty_completion_has_none():
    assert read_margin(chat([]), Margin.MEAN) is None


@pytest.mark.parametrize("answer", [{"choices": []}, {"choices": [{"text": "4"}]}, {"choices": [{"logprobs": None}]}])
def test_an_answer_without_log_probabilities_is_no_answer(answer: dict[str, Any]):
    with pytest.raises(Garbled):
        read_margin(answer, Margin.MEAN)


@pytest.mark.parametrize(
    ("api", "wanted"), [("chat", {"logprobs": True, "top_logprobs": 2}), ("completions", {"logprobs": 2})]
)
def test_they_are_asked_for_where_they_are_wanted(server: Server, api: str, wanted: dict[str, Any]):
    server.dialect = lambda _: (200, chat() if api == "chat" else completion())
    prompt = Prompt(text="2 + 2", token_ids=None)
    plain = {"seed": 1, "temperature": 0.0, "top_p": 1.0, "max_new_tokens": 8}
    with closing(OpenAIEngine("big", options(server, api))) as engine:
        assert engine.submit(prompt, SamplingParameters(**plain)).result().margin is None
        sample = engine.submit(prompt, SamplingParameters(**plain, margin=Margin.TAG)).result()
    (_, without), (_, body) = server.requests
    assert sample.margin == pytest.approx(0.5) and sample.text == "[cot]: 4"
    assert not wanted.keys() & without.keys() and {name: body[name] for name in wanted} == wanted


def test_a_server_that_gives_them_will_do(server: Server):
    server.dialect = lambda _: (200, chat())
    assert check_margins("big", options(server)) is None


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (200, {"choices": [{"message": {"content": "4"}, "finish_reason": "stop", "logprobs": None}]}, "of two tokens"),
        (200, chat([("4", [-0.1])]), "of two tokens"),
        (400, {"error": {"message": "logprobs is not supported by this model"}}, "logprobs is not supported"),
    ],
)
def test_a_server_that_does_not_is_refused_with_a_sentence(
    server: Server, make_config: Any, monkeypatch: pytest.MonkeyPatch, status: int, answer: Any, words: str
):
    """Before anything starts; the votes of several samples need no log-probabilities."""
    server.dialect = lambda _: (status, answer)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    url = f"http://127.0.0.1:{server.server_port}/v1"
    settings = (
        "recipe=two_tier",
        f"models={{a: {{source: openai, model: big, endpoint: {{base_url: '{url}'}}}}, b: {{source: vllm, model: b}}}}",
    )
    cascade = "options={small: a, large: b, costs: [1, 5], margin: %s}"
    with pytest.raises(ModelError, match=r"models\.a: .*gives no log-probabilities") as refused:
        check_margins_of(make_config(*settings, cascade % "mean"))
    assert words in str(refused.value) and "votes" in str(refused.value)
    check_margins_of(make_config(*settings, cascade % "votes"))
