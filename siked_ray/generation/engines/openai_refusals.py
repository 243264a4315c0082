"""What a server says when it does not answer: read from the body of its response, whatever shape that has.

Met so far: `error.message`, `message`, `detail` as a text, a list or nested, a list of errors, a text, and JSON inside
such a text. A server's own words always reach the user.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Characters of what a server says that are shown.
_SHOWN = 600
_WORDS = (
    "message",
    "msg",
    "error",
    "errors",
    "detail",
    "details",
    "description",
    "error_msg",
    "status_msg",
    "base_resp",
    "metadata",
    "raw",
)
_CODES = ("code", "type", "status", "error_code", "status_code")
_NAMES = ("param", "parameter", "loc", "field")
_PASSING = (408, 409, 425, 429)
#: Codes of errors inside a 200, in words, and the status that they stand for.
_STATUS_OF_CODE = (
    (re.compile(r"api[ _-]?key|authentication|unauthorized", re.I), 401),
    (re.compile(r"rate_?limit", re.I), 429),
    (re.compile(r"invalid_?request|invalid_argument|context_length|content_?(filter|policy)|moderation", re.I), 400),
)
_QUOTA = re.compile(
    r"insufficient[_ ](quota|balance|credits?|funds)|credit balance|billing_(hard_limit|not_active)", re.I
)
_KEY = re.compile(
    r"(invalid|incorrect|wrong|missing)[_ ](\w+ )?api[_ -]?key\b|"
    r"\bapi[_ -]?key[_ ](is )?(not valid|missing|invalid)",
    re.I,
)
_MODERATION = re.compile(
    r"moderation|flagged_input|data_inspection|inappropriate content|sensitive (content|words?)|"
    r"content[ _-]?(filter|polic|management|safety)|safety (system|polic|setting|filter)|"
    r"\b(input|prompt|request|messages?|text|content|output) (was|were|is|are|has been|have been) "
    r"(\w+ )?(flagged|blocked|rejected|filtered)",
    re.I,
)
_ACCOUNT = re.compile(
    r"\b(account|key|organi[sz]ation|project)\b.{0,60}\b(suspend|disabled|deactivat|banned|blocked)", re.I
)


class Fault(StrEnum):
    """Whose fault a refusal is."""

    ROW = "row"  # this request's
    KEY = "key"
    QUOTA = "quota"  # the account is used up
    PASSING = "passing"  # worth another try
    SERVER = "server"


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One thing that a server finds fault with; the `names` and `codes` that fields of the body give."""

    words: str
    names: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A response that is no answer. `status` is that of HTTP, or what an error inside a 200 stands for."""

    status: int
    complaints: tuple[Complaint, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What the server says, each thing once."""
        return "; ".join(dict.fromkeys(one.words for one in self.complaints))[:_SHOWN]

    @property
    def fault(self) -> Fault:
        """Whose fault it is."""
        said = " ".join([self.words, *(code for one in self.complaints for code in one.codes)])
        if self.status == 402 or _QUOTA.search(said):
            return Fault.QUOTA
        if self.status == 401 or (self.status == 400 and _KEY.search(said)):
            return Fault.KEY
        if self.status == 403:
            return Fault.ROW if _MODERATION.search(said) and not _ACCOUNT.search(said) else Fault.KEY
        if self.status in _PASSING or self.status >= 500:
            return Fault.PASSING
        return Fault.ROW if self.status in (400, 413, 422) else Fault.SERVER


class ServerRefused(Exception):
    """A server's refusal, on its way to whoever decides what becomes of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"status {refusal.status}: {refusal.words}")
        self.refusal = refusal


def read_refusal(status: int, body: str, headers: Mapping[str, str]) -> Refusal:
    """The refusal in a response of an HTTP status from 400 on."""
    return Refusal(status=status, complaints=_complaints_of(_parsed(body), body), headers=headers)


def refusal_inside(answer: Any) -> Refusal | None:
    """The error that a server sent as if it were an answer (with status 200); None where there is none."""
    wrong = _error_inside(answer)
    if wrong is None:
        return None
    complaints = _complaints_of(wrong, json.dumps(wrong))
    return Refusal(status=_status_of([code for one in complaints for code in one.codes]), complaints=complaints)


def _error_inside(answer: Any) -> Any:
    if isinstance(answer, list) and answer and isinstance(answer[0], Mapping):
        return _error_inside(answer[0])
    if not isinstance(answer, Mapping):
        return None
    choices = answer.get("choices")
    if answer.get("error"):
        return answer
    if isinstance(choices, list) and choices:
        return choices[0] if isinstance(choices[0], Mapping) and choices[0].get("error") else None
    return answer if any(answer.get(name) for name in _WORDS) else None


def _status_of(codes: list[str]) -> int:
    """A number that says so, or what the words stand for; 500 where nothing is known."""
    for code in codes:
        if re.fullmatch(r"[45]\d\d", code):
            return int(code)
    return next((status for known, status in _STATUS_OF_CODE if any(map(known.search, codes))), 500)


def _complaints_of(body: Any, text: str) -> tuple[Complaint, ...]:
    """Never none: what is not understood is the server's text as it is."""
    found = tuple(_complaints(body, (), ()))
    return found or (Complaint(words=" ".join(text.split()) or "it says nothing"),)


def _complaints(body: Any, names: tuple[str, ...], codes: tuple[str, ...]) -> Iterator[Complaint]:
    if isinstance(body, list):
        for each in body:
            yield from _complaints(each, names, codes)
    elif isinstance(body, Mapping):
        codes += tuple(_scalars(body, _CODES))
        names += tuple(_scalars(body, _NAMES))
        for name in _WORDS:
            yield from _complaints(_named(body, name), names, codes)
    elif isinstance(body, str) and body.strip():
        inner = _parsed(body)
        if isinstance(inner, str):
            yield Complaint(words=" ".join(body.split()), names=names, codes=codes)
        else:
            yield from _complaints(inner, names, codes)


def _named(body: Mapping[str, Any], name: str) -> Any:
    """A field; the message about a place in the request says which place, as it does not itself."""
    value, place = body.get(name), body.get("loc")
    if isinstance(value, str) and isinstance(place, list) and place:
        return f"{'.'.join(map(str, place))}: {value}"
    return value


def _scalars(body: Mapping[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    for name in fields:
        value = body.get(name)
        yield from (str(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str | int))


def _parsed(text: str) -> Any:
    """A text's JSON object or list; the text itself where it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text
