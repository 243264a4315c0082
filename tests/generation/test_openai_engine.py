"""A teacher behind a server: what is retried, what is the row's own fault, and what ends the stage."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest

from siked_ray.core.chat_format import ChatFormat
from siked_ray.errors import StageError
from siked_ray.generation.engine import RequestRejected
from siked_ray.generation.engines import openai_engine
from siked_ray.generation.engines.openai_engine import EndpointOptions, OpenAIEngine, check_endpoint
from tests.generation.openai_stub import Server, options, running_server, submit


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("TEACHER_KEY", "secret")
    with running_server() as server:
        yield server


@pytest.mark.parametrize(("api", "path"), [("chat", "/v1/chat/completions"), ("completions", "/v1/completions")])
def test_a_sample_is_what_the_server_says(server, api, path):
    with closing(OpenAIEngine("big", options(server, api))) as engine:
        sample = submit(engine, "hello", seed=77).result()
        cut_off = submit(engine, "too long").result()
        assert engine.busy_s > 0
    assert (sample.text, sample.num_prompt_tokens, sample.num_tokens, sample.finished) == ("echo: hello", 11, 5, True)
    assert not cut_off.finished
    requested_path, body = server.requests[0]
    assert requested_path == path
    wanted = {"model": "big", "seed": 77, "temperature": 0.7, "top_p": 0.9, "max_tokens": 8, "stop": ["\nQ"]}
    assert wanted.items() <= body.items()


def test_a_request_has_the_system_message_the_templates_arguments_and_what_else_is_set(server):
    chat = ChatFormat(system="Be brief.", arguments={"enable_thinking": False})
    extra = {"reasoning_effort": "low", "top_k": 20}
    with closing(OpenAIEngine("big", replace(options(server), chat=chat, extra_body=extra))) as engine:
        submit(engine, "hello").result()
    ((_, body),) = server.requests
    user = {"role": "user", "content": "hello"}
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, user]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert (body["reasoning_effort"], body["top_k"], body["temperature"]) == ("low", 20, 0.7)


def test_rate_limits_and_overload_are_waited_for(server):
    server.script = {"a": [429, 429, 503], "b": [500]}
    with closing(OpenAIEngine("big", options(server))) as engine:
        assert [submit(engine, prompt).result().text for prompt in ("a", "b")] == ["echo: a", "echo: b"]
    assert len(server.requests) == 4 + 2


def test_a_server_is_left_alone_for_as_long_as_it_says(server, monkeypatch):
    """The client library gives up where it is more than two minutes."""
    server.script, server.retry_after = {"a": [429, 503]}, ("retry-after", "600")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(openai_engine, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    with closing(OpenAIEngine("big", options(server))) as engine:
        assert submit(engine, "a").result().text == "echo: a"
    assert len(pauses) == 2 and all(600 <= pause <= 750 for pause in pauses)


def test_a_server_that_says_nothing_ends_the_stage(server, monkeypatch):
    monkeypatch.setattr(openai_engine, "answer_timeout_s", lambda max_new_tokens: 0.5)
    with closing(OpenAIEngine("big", options(server))) as engine, pytest.raises(StageError, match="gave no answer"):
        submit(engine, "silence").result(timeout=20)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": [{"type": "text"}]}}]},
        "nothing",
    ],
)
def test_an_answer_without_a_completion_is_the_rows_own_fault(server, reply):
    server.replies = {"bad": reply}
    with closing(OpenAIEngine("big", options(server))) as engine:
        with pytest.raises(RequestRejected, match="the server's"):
            submit(engine, "bad").result(timeout=20)
        assert submit(engine, "good").result().text == "echo: good"


@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {"prompt_tokens": None}}])
def test_halves_of_characters_and_missing_counts_can_be_stored(server, usage):
    server.replies = {"smile": {"choices": [{"message": {"content": "so \ud83d"}}]} | usage}
    with closing(OpenAIEngine("big", options(server))) as engine:
        sample = submit(engine, "smile").result()
    assert (sample.text, sample.num_prompt_tokens, sample.num_tokens) == ("so ?", 0, 0)


def test_a_refused_request_is_the_rows_own_fault(server):
    server.script = {"bad": [400]}
    with closing(OpenAIEngine("big", options(server))) as engine:
        with pytest.raises(RequestRejected, match="status 400"):
            submit(engine, "bad").result()
        assert submit(engine, "good").result().text == "echo: good"


def test_a_wrong_key_ends_the_stage_and_says_which_variable(server, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "other")
    with closing(OpenAIEngine("big", options(server))) as engine, pytest.raises(StageError, match="api_key_env"):
        submit(engine, "a").result()


def test_no_more_requests_at_once_than_asked_for(server):
    with closing(OpenAIEngine("big", options(server, max_concurrency=3))) as engine:
        for future in [submit(engine, str(i)) for i in range(30)]:
            future.result()
    assert 1 < server.most_running <= 3


def test_the_endpoint_is_checked_before_anything_starts(server, monkeypatch):
    assert check_endpoint("big", options(server)) is None
    assert "does not serve small; it serves big" in (check_endpoint("small", options(server)) or "")
    monkeypatch.setenv("TEACHER_KEY", "other")
    assert "refuses the key" in (check_endpoint("big", options(server)) or "")
    nowhere = EndpointOptions(
        base_url="http://127.0.0.1:9/v1", api="chat", api_key_env="TEACHER_KEY", max_concurrency=1
    )
    assert "http://127.0.0.1:9/v1" in (check_endpoint("big", nowhere) or "")


def test_weights_of_a_server_are_its_own(server):
    with closing(OpenAIEngine("big", options(server))) as engine, pytest.raises(StageError, match="cannot load"):
        engine.load_weights("student")


def test_an_option_that_the_server_does_not_know_is_put_otherwise(server: Server):
    """The texts are OpenAI's, of a reasoning model, and Mistral's."""
    server.refusals = {
        "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        "seed": "{'type': 'extra_forbidden', 'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}",
    }
    with closing(OpenAIEngine("big", options(server))) as engine:
        futures = [submit(engine, f"hello {i}") for i in range(8)]
        assert [future.result().text for future in futures] == [f"echo: hello {i}" for i in range(8)]
        before = len(server.requests)
        submit(engine, "later").result()
    assert len(server.requests) == before + 1, "what was refused once is not sent again"
    _, last = server.requests[-1]
    assert last["max_completion_tokens"] == 8 and not {"max_tokens", "seed"} & set(last)


def test_a_value_that_the_server_does_not_take_is_the_rows_fault(server: Server):
    server.refusals = {"max_tokens": "'max_tokens' is too large: 8. The maximum context length is 4 tokens."}
    with closing(OpenAIEngine("big", options(server))) as engine, pytest.raises(RequestRejected, match="too large"):
        submit(engine, "hello").result()
    assert len(server.requests) == 1
