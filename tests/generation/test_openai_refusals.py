"""What a refusal says, whose fault it is, and which options it is about; texts as servers write them."""

import json

import pytest

from siked_ray.generation.engines.openai_dialect import refused_options, wants_a_stream
from siked_ray.generation.engines.openai_refusals import Complaint, Fault, read_refusal, refusal_inside

SENT = {"seed": 1, "temperature": 0.7, "top_p": 1.0, "max_tokens": 8, "stop": ["\nQ"]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"message": {"detail": [{"loc": ["body", "seed"], "msg": "no"}]}}, "body.seed: no"),
        ({"detail": "no"}, "no"),
        ({"detail": ["no", {"msg": "never"}]}, "no; never"),
        ({"detail": {"error": {"message": "no"}}}, "no"),
        ({"errors": [{"message": "no"}, {"message": "no"}]}, "no"),
        ([{"error": {"message": "no"}}], "no"),
        ({"error": {"message": "failed", "metadata": {"raw": '{"error": {"message": "no"}}'}}}, "failed; no"),
        ({"strange": "no"}, '{"strange": "no"}'),
        ([], "[]"),
    ],
)
def test_words_are_found_wherever_they_are(body: object, words: str):
    assert read_refusal(400, json.dumps(body), {}).words == words


def test_a_text_and_nothing_are_said_as_they_are():
    assert read_refusal(400, "no\n way", {}).words == "no way"
    assert read_refusal(400, "", {}).words == "it says nothing"


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("litellm.UnsupportedParamsError: bedrock does not support parameters: ['seed', 'stop']", {"seed", "stop"}),
        ("ValidationException: extraneous key [seed] is not permitted", {"seed"}),
        ("Unrecognized request argument supplied: seed", {"seed"}),
        ("Unrecognized request argument supplied: stop", {"stop"}),
        ("Stop sequences are not supported", {"stop"}),
        ("Additional properties are not allowed ('top_p' was unexpected)", {"top_p"}),
        ("`temperature` is deprecated for this model.", {"temperature"}),
        ("temperature: `temperature` may only be set to 1 when thinking is enabled", {"temperature"}),
        ("unknown field `seed`, expected one of `stop`, `temperature`", {"seed"}),
        ("Unsupported parameter 'stop'. Supported parameters are 'seed', 'temperature'", {"stop"}),
        ("body.seed: Extra inputs are not permitted", {"seed"}),
        ("`top_p` must be > 0.0 and < 1.0", {"top_p"}),
        ("'seed' must be below 65536", {"seed"}),
        ("'max_tokens' is too large: 8", set()),
        ("temperature must be at least 1", set()),
        ("Unknown model: big", set()),
        ("Unexpected end of the prompt, please stop that", set()),
        ("max_completion_tokens is unknown", set()),
    ],
)
def test_options_that_a_server_does_not_know(words: str, options: set[str]):
    assert refused_options(Complaint(words=words), SENT) == options


def test_a_top_p_that_means_something_is_not_left_out_for_its_value():
    words = "`top_p` must be > 0.0 and < 1.0"
    assert refused_options(Complaint(words=words), SENT | {"top_p": 0.9}) == set()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("Stream must be set to true", True),
        ("parameter.enable_thinking must be set to false for non-streaming calls", True),
        ("Streaming is required for operations that may take longer than 10 minutes", True),
        ("The upstream must be up", False),
        ("streaming", False),
    ],
)
def test_a_wish_for_streams(words: str, wanted: bool):
    assert wants_a_stream(Complaint(words=words)) is wanted


@pytest.mark.parametrize(
    ("status", "words", "fault"),
    [
        (400, "too long", Fault.ROW),
        (413, "", Fault.ROW),
        (422, "no", Fault.ROW),
        (403, "openai/gpt requires moderation; your input was flagged", Fault.ROW),
        (403, "Your organization is disabled for content policy violations", Fault.KEY),
        (403, "no access", Fault.KEY),
        (401, "no", Fault.KEY),
        (400, "Incorrect API key provided: xai-1", Fault.KEY),
        (400, "Your credit balance is too low", Fault.QUOTA),
        (402, "Payment required", Fault.QUOTA),
        (429, "You exceeded your current quota; retry in 30 s", Fault.PASSING),
        (429, "insufficient_quota", Fault.QUOTA),
        (503, "no", Fault.PASSING),
        (404, "no", Fault.SERVER),
    ],
)
def test_whose_fault_it_is(status: int, words: str, fault: Fault):
    assert read_refusal(status, words, {}).fault is fault


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"error": {"message": "x", "code": 429}}, 429),
        ({"error": {"message": "x", "code": "502"}}, 502),
        ({"error": {"message": "x", "type": "content_filter"}}, 400),
        ({"error": "x"}, 500),
        ({"base_resp": {"status_code": 1004, "status_msg": "x"}}, 500),
        ([{"error": {"message": "x"}}], 500),
        ({"choices": [{"error": {"message": "x"}}]}, 500),
    ],
)
def test_errors_inside_a_200(answer: object, status: int):
    refusal = refusal_inside(answer)
    assert refusal is not None and (refusal.status, refusal.words) == (status, "x")


@pytest.mark.parametrize("answer", [{"choices": []}, {"choices": [{"text": "7"}], "error": None}, "text", 7, []])
def test_what_is_no_error(answer: object):
    assert refusal_inside(answer) is None
