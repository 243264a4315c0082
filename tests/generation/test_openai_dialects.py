"""Ten kinds of servers with OpenAI's interface, each with refusals and answers of its own; texts as published."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from siked_ray.errors import StageError
from siked_ray.generation.engine import RequestRejected
from siked_ray.generation.engines.openai_engine import OpenAIEngine
from siked_ray.generation.engines.openai_retries import Retries
from tests.generation.openai_stub import Server, options, running_server, submit

Dialect = Callable[[dict], tuple[int, object]]
USAGE = {"prompt_tokens": 11, "completion_tokens": 5}


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("TEACHER_KEY", "secret")
    pause_s = Retries.pause_s
    monkeypatch.setattr(Retries, "pause_s", lambda self, error: None if pause_s(self, error) is None else 0.0)
    with running_server() as server:
        yield server


def answer(text: object = "It is 7.", reason: object = "stop", **beside: object) -> dict:
    return {"choices": [{"finish_reason": reason, "message": {"content": text} | beside}], "usage": USAGE}


def events(*pieces: object, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + end).encode()


def delta(reason: str | None = None, **said: object) -> dict:
    return {"choices": [{"delta": said, "finish_reason": reason}]}


STREAM = events(
    delta(role="assistant", content=""),
    delta(reasoning_content="3 + 4"),
    delta(content="It "),
    delta("stop", content="is 7."),
    {"choices": [], "usage": USAGE},
)


def refusing(option: str, refusal: object, status: int = 400) -> Dialect:
    return lambda body: (status, refusal) if option in body else (200, answer())


def streaming_only(refusal: object) -> Dialect:
    return lambda body: (200, STREAM) if body.get("stream") else (400, refusal)


def unsupported(option: str, words: str) -> dict:
    return {"error": {"message": words, "type": "invalid_request_error", "param": option, "code": "unsupported_value"}}


#: Name → how the server answers, the option that it does not take (None: it takes all).
DIALECTS: dict[str, tuple[Dialect, str | None]] = {
    "OpenAI's reasoning models": (
        refusing(
            "max_tokens",
            {
                "error": {
                    "message": "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens'."
                }
            },
        ),
        "max_tokens",
    ),
    "one temperature only": (
        refusing(
            "temperature",
            unsupported("temperature", "Unsupported value: 'temperature' does not support 0.7 with this model."),
        ),
        "temperature",
    ),
    "Mistral's list in a message": (
        refusing(
            "seed",
            {
                "object": "error",
                "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs …"}]},
            },
            422,
        ),
        "seed",
    ),
    "FastAPI's list": (
        refusing("stop", {"detail": [{"type": "x", "loc": ["body", "stop"], "msg": "Extra inputs are not permitted"}]}),
        "stop",
    ),
    "xAI's text": (refusing("stop", {"code": "bad", "error": "Model grok does not support parameter stop."}), "stop"),
    "Rust's list of what it knows": (
        refusing(
            "seed", b"Failed to deserialize: unknown field `seed`, expected one of `stop`, `temperature`, `top_p`"
        ),
        "seed",
    ),
    "Google's list": (
        refusing("seed", [{"error": {"code": 400, "message": 'Invalid JSON payload. Unknown name "seed": no field.'}}]),
        "seed",
    ),
    "a proxy with another's JSON": (
        refusing(
            "top_p",
            {"error": {"message": json.dumps(unsupported("top_p", "'top_p' is not supported")), "type": "upstream"}},
            500,
        ),
        "top_p",
    ),
    "a temperature or a top_p": (
        refusing("top_p", {"message": "`temperature` and `top_p` cannot both be specified for this model."}),
        "top_p",
    ),
    "a stream, asked for in a detail": (streaming_only({"detail": "Stream must be set to true"}), "stream"),
    "a stream, asked for in an error": (
        streaming_only(
            {"error": {"message": "This model only support stream mode, please enable the stream parameter"}}
        ),
        "stream",
    ),
    "a stream, not asked for": (lambda body: (200, STREAM), None),
    "an answer that ends as a stream": (lambda body: (200, json.dumps(answer()).encode() + b"\n\ndata: [DONE]"), None),
    "parts, thoughts among them": (
        lambda body: (200, answer([{"type": "thinking", "thinking": []}, {"type": "text", "text": "It is 7."}])),
        None,
    ),
    "thoughts beside the answer": (lambda body: (200, answer(reasoning_content="It is 8.")), None),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_is_understood_and_what_it_does_not_take_is_said_once(server: Server, caplog, name: str):
    server.dialect, refused = DIALECTS[name]
    with caplog.at_level(logging.WARNING), closing(OpenAIEngine("big", options(server, max_concurrency=1))) as engine:
        samples = [future.result(20) for future in [submit(engine, f"q{i}") for i in range(3)]]
    assert {(one.text, one.finished, one.num_prompt_tokens, one.num_tokens) for one in samples} == {
        ("It is 7.", True, 11, 5)
    }
    assert len(server.requests) == 3 + (refused is not None), "what is refused once is not sent again"
    wanted = {"seed", "temperature", "top_p", "max_tokens", "stop", "model", "messages"}
    last = set(server.requests[-1][1])
    if refused == "stream":
        assert last == wanted | {"stream", "stream_options"}
    elif refused is not None:
        assert last == wanted - {refused} | ({"max_completion_tokens"} if refused == "max_tokens" else set())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("siked_ray")]
    assert len(said) == (refused is not None) and all(f"{refused}" in one for one in said)


def test_requests_under_way_while_a_server_is_learnt_are_made_again(server: Server, caplog):
    server.dialect = refusing("seed", {"detail": "Unknown option: 'seed'"})
    with caplog.at_level(logging.WARNING), closing(OpenAIEngine("big", options(server))) as engine:
        assert all(f.result(20).finished for f in [submit(engine, f"q{i}") for i in range(8)])
    assert len([record for record in caplog.records if record.name.startswith("siked_ray")]) == 1


def test_a_server_that_takes_no_stop_text_is_stopped_here(server: Server):
    server.dialect = lambda body: (
        (400, {"detail": "'stop' is not supported"}) if "stop" in body else (200, answer("It is 7.\nQ: And", "length"))
    )
    with closing(OpenAIEngine("big", options(server))) as engine:
        sample = submit(engine, "q").result(20)
    assert (sample.text, sample.finished) == ("It is 7.", True)


def test_two_options_of_one_refusal_and_one_after_another(server: Server):
    def speak(body: dict) -> tuple[int, object]:
        if "seed" in body or "stop" in body:
            places = [{"loc": ["body", name], "msg": "Extra inputs are not permitted"} for name in ("seed", "stop")]
            return 422, {"detail": places}
        if "stream" not in body:
            return 400, {"detail": "Only streaming is here"}
        return (400, {"error": "unknown field stream_options"}) if "stream_options" in body else (200, STREAM)

    server.dialect = speak
    with closing(OpenAIEngine("big", options(server))) as engine:
        assert submit(engine, "q").result(20).text == "It is 7."
    assert len(server.requests) == 4


def test_neither_name_for_the_limit_of_tokens_is_the_end(server: Server):
    def speak(body: dict) -> tuple[int, object]:
        name = next(name for name in body if name.startswith("max_"))
        return 400, {"detail": f"Unknown parameter: '{name}'"}

    server.dialect = speak
    wanted = pytest.raises(RequestRejected, match="'max_completion_tokens'")
    with closing(OpenAIEngine("big", options(server))) as engine, wanted:
        submit(engine, "q").result(20)
    assert len(server.requests) == 2


@pytest.mark.parametrize("reason", ["eos", "EOS_TOKEN", "end_turn", "stop_sequence", "STOP", {"type": "stop"}])
def test_a_servers_own_word_for_an_end(server: Server, reason: object):
    server.dialect = lambda body: (200, answer(reason=reason))
    with closing(OpenAIEngine("big", options(server))) as engine:
        assert submit(engine, "q").result(20).finished


@pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter", "tool_calls", "error", "abort", "", None])
def test_any_other_reason_is_no_end(server: Server, reason: object):
    server.dialect = lambda body: (200, answer(reason=reason))
    with closing(OpenAIEngine("big", options(server))) as engine:
        sample = submit(engine, "q").result(20)
    assert not sample.finished
    assert sample.ending == ("" if reason in ("length", "max_tokens", None) else reason)


PASSING = {
    "an error": {"choices": None, "error": {"message": "overloaded"}},
    "an error with a code": {"error": {"code": 502, "message": "upstream"}},
    "an error in a choice": {"choices": [{"error": {"code": 503, "message": "gone"}, "finish_reason": "error"}]},
    "a detail": {"detail": "worker is busy"},
    "cut-off JSON": b'{"choices": [{"mess',
    "nothing": b"",
    "a stream that breaks off": events(delta(content="It is"), end=""),
    "a piece that breaks off": events(delta(content="It is"), end='data: {"choi'),
    "an error in a stream": events(delta(content="It"), {"error": {"message": "lost", "code": 500}}),
}


@pytest.mark.parametrize("name", PASSING)
def test_an_error_or_half_an_answer_in_a_200_is_tried_again(server: Server, name: str):
    replies = [PASSING[name], PASSING[name], answer()]
    server.dialect = lambda body: (200, replies.pop(0))
    with closing(OpenAIEngine("big", options(server))) as engine:
        assert submit(engine, "q").result(20).text == "It is 7."


#: Status and body → the error, the server's own words in it, and how often it was asked.
ENDS = [
    (413, b"<h1>Entity Too Large</h1>", RequestRejected, "Entity Too Large", 1),
    (400, {"detail": {"error": {"message": "context of 4096"}}}, RequestRejected, "context of 4096", 1),
    (403, {"error": {"message": "Your input was flagged for violence"}}, RequestRejected, "flagged for violence", 1),
    (403, {"error": {"message": "Your account was banned by moderation"}}, StageError, "banned.*api_key_env", 1),
    (403, {"message": "No access to this model"}, StageError, "No access.*api_key_env", 1),
    (401, {"detail": "Invalid token"}, StageError, "Invalid token.*api_key_env", 1),
    (400, [{"error": {"message": "API key not valid."}}], StageError, "API key not valid.*api_key_env", 1),
    (429, {"error": {"message": "You are out", "code": "insufficient_quota"}}, StageError, "used up .You are out", 1),
    (429, {"error": {"message": "slowly"}}, StageError, "slowly.*max_concurrency", 13),
    (200, {"error": {"message": "all down"}}, StageError, "all down", 13),
    (200, {"error": {"message": "too long", "type": "invalid_request_error"}}, RequestRejected, "too long", 1),
    (200, {"error": {"message": "bad key", "code": "invalid_api_key"}}, StageError, "bad key.*api_key_env", 1),
    (200, b"{not JSON", RequestRejected, "not JSON", 13),
    (200, b"<html>Welcome", StageError, "Welcome.*base_url", 13),
    (404, {"error": "model 'big' not found"}, StageError, "model 'big' not found", 1),
]


@pytest.mark.parametrize(("status", "body", "error", "words", "num_requests"), ENDS)
def test_the_row_or_the_stage_ends_with_the_servers_own_words(server, status, body, error, words, num_requests):
    server.dialect = lambda _: (status, body)
    with closing(OpenAIEngine("big", options(server))) as engine, pytest.raises(error, match=words):
        submit(engine, "q").result(20)
    assert len(server.requests) == num_requests
