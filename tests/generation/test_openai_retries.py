"""Which failures of a server are worth another try, and after how long."""

import time
from email.utils import formatdate

import openai
import pytest

from siked_ray.generation.engines.openai_answers import Garbled
from siked_ray.generation.engines.openai_refusals import ServerRefused, read_refusal
from siked_ray.generation.engines.openai_retries import MAX_TRIES, Retries, asked_pause_s

httpx = pytest.importorskip("httpx2")
REQUEST = httpx.Request("POST", "http://server/v1")


def failure(status: int, words: str = "no", **headers: str) -> ServerRefused:
    return ServerRefused(
        read_refusal(status, words, {name.replace("_", "-"): value for name, value in headers.items()})
    )


def pauses(error: Exception) -> list[float]:
    """Until the request is given up."""
    retries = Retries()
    return list(iter(lambda: retries.pause_s(error), None))


def test_pauses_grow_and_add_up_to_about_a_minute():
    found = pauses(failure(429))
    assert len(found) == MAX_TRIES - 1
    for pause, least in zip(found, [0.5, 1, 2, 4, *[8] * 8], strict=True):
        assert least <= pause <= 1.25 * least
    assert len(set(found[4:])) > 1, "with jitter"


@pytest.mark.parametrize(
    ("error", "num_pauses"),
    [
        (failure(500), 12),
        (failure(408), 12),
        (openai.APIConnectionError(request=REQUEST), 12),
        (TimeoutError(), 2),
        (failure(400), 0),
        (failure(401), 0),
        (failure(429, x_should_retry="false"), 0),
        (failure(400, x_should_retry="true"), 12),
        (failure(429, retry_after="600"), 6),
        (failure(429, retry_after="3601"), 0),
        (failure(429, retry_after="inf"), 0),
        (Garbled('{"choices": [{"mess'), 12),
        (failure(429, '{"error": {"code": "insufficient_quota"}}', x_should_retry="true"), 0),
        (failure(401, x_should_retry="true"), 0),
        (ValueError("half a character"), 0),
    ],
)
def test_how_often_a_failure_is_tried_again(error: Exception, num_pauses: int):
    assert len(pauses(error)) == num_pauses


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "130"}, 130),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "0"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_what_a_server_asks_for(headers: dict[str, str], seconds: float | None):
    assert asked_pause_s(headers) == seconds


def test_a_server_may_name_the_time():
    in_two_hours, a_minute_ago = (formatdate(time.time() + offset, usegmt=True) for offset in (7200, -60))
    assert asked_pause_s({"retry-after": in_two_hours}) == pytest.approx(7200, abs=60)
    assert asked_pause_s({"retry-after": a_minute_ago}) is None
