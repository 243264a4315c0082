"""A completion out of what a server sends: an answer, a stream of pieces (asked for or not), or something else.

The body is read here and not by the client library, which takes in an error, half an answer or a stream as if it were
an answer. Thoughts that a server keeps apart (`reasoning_content`, parts of type `thinking`) stay apart.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from siked_ray.generation.engine import RequestRejected, Sample
from siked_ray.generation.engines.openai_refusals import ServerRefused, refusal_inside

#: Characters of an answer that are shown with what is wrong with it.
_SHOWN = 200
#: How servers say that the model came to an end by itself or at a stop text; whatever else they say, it did not.
_ENDS = frozenset({"stop", "eos", "eos_token", "stop_token", "stop_sequence", "stop_str"}) | frozenset(
    {"end_turn", "end_of_turn", "end_of_text", "complete", "completed"}
)
_AT_LIMIT = frozenset({"length", "max_tokens", "max_length", "model_length", "token_limit"})
_STREAM_FIELDS = ("data:", "event:", "id:", "retry:", ":")


class Garbled(Exception):
    """A body that cannot be read. `is_cut_off`: it began as an answer does."""

    def __init__(self, body: str) -> None:
        super().__init__(f"{storable(body)[:_SHOWN]!r}")
        self.is_cut_off = body.startswith(("{", "[", *_STREAM_FIELDS))


def read_answer(body: bytes) -> Any:
    """The answer in the body of a 200, of a stream put together; raises ServerRefused for an error, and Garbled."""
    text = body.decode("utf-8-sig", "replace").strip()
    answer = _joined(text) if text.startswith(_STREAM_FIELDS) else _whole(text)
    refusal = refusal_inside(answer)
    if refusal is not None:
        raise ServerRefused(refusal)
    return answer


def read_sample(answer: Any, stop: Sequence[str]) -> Sample:
    """The completion in an answer, cut at the first text of `stop`; raises RequestRejected where it has none."""
    try:
        choice = answer["choices"][0]
        text, reason = _text(choice), choice.get("finish_reason")
    except (AttributeError, IndexError, KeyError, TypeError):
        shown = storable(repr(answer))[:_SHOWN]
        raise RequestRejected(f"the server's answer has no completion: {shown}") from None
    usage = answer.get("usage")
    cuts = [at for at in (text.find(one) for one in stop) if at >= 0]
    return Sample(
        text=storable(text[: min(cuts)] if cuts else text),
        num_prompt_tokens=_count(usage, "prompt_tokens"),
        num_tokens=_count(usage, "completion_tokens"),
        finished=bool(cuts) or is_end(reason),
        ending="" if cuts else _odd_ending(reason),
    )


def is_end(reason: Any) -> bool:
    """Whether a finish reason says that the model had finished."""
    return _word_of(reason).lower() in _ENDS


def _odd_ending(reason: Any) -> str:
    """The server's word for an end that is neither the model's own nor the token limit; "" for these."""
    word = _word_of(reason)
    return "" if word.lower() in _ENDS | _AT_LIMIT else storable(word)[:_SHOWN]


def _word_of(reason: Any) -> str:
    if isinstance(reason, Mapping):
        reason = reason.get("type")
    return "" if reason is None else str(reason)


def storable(text: str) -> str:
    """JSON can hold halves of characters, a Parquet file cannot."""
    return text.encode("utf-8", "replace").decode()


def _whole(text: str) -> Any:
    """One JSON value; some servers end it as they would end a stream."""
    try:
        answer, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        raise Garbled(text) from None
    rest = text[end:].strip()
    if rest and not rest.startswith("data:"):
        raise Garbled(text)
    return answer


def _joined(text: str) -> dict[str, Any]:
    """The answer that the pieces of a stream make."""
    pieces: list[str] = []
    reason = usage = None
    is_done = False
    for data in _stream_data(text):
        if data == "[DONE]":
            is_done = True
            break
        chunk = _whole(data) if data.startswith("{") else None
        if not isinstance(chunk, dict):
            raise Garbled(text)
        if (refusal := refusal_inside(chunk)) is not None:
            raise ServerRefused(refusal)
        usage = chunk.get("usage") or usage
        try:
            for choice in (chunk.get("choices") or [])[:1]:
                pieces.append(_text(choice))
                reason = choice.get("finish_reason") or reason
        except (AttributeError, KeyError, TypeError):
            raise Garbled(text) from None
    if reason is None and not is_done:
        raise Garbled(text)
    return {"choices": [{"text": "".join(pieces), "finish_reason": reason}], "usage": usage}


def _stream_data(text: str) -> Iterator[str]:
    """What the lines `data:` of server-sent events hold. Only line feeds end a line: JSON may hold other separators."""
    for line in text.split("\n"):
        if line.startswith("data:") and (data := line.removeprefix("data:").strip()):
            yield data


def _text(choice: Any) -> str:
    """The answer in a choice or a piece of it, without the thoughts beside it."""
    said = choice.get("message") or choice.get("delta")
    content = said.get("content") if said else choice.get("text", "" if "delta" in choice else None)
    if not said and content is None:
        raise KeyError("text")
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str | None):
        raise RequestRejected(f"the server's completion is no text: {storable(repr(content))[:_SHOWN]}")
    return content or ""


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) else 0
