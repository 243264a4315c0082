"""Reads the answer out of a completion: first by marker, then by documented fall-backs.

One extractor serves teacher, student and evaluation alike. What it returns is text; whether that text
equals the gold is `equivalence`'s question. It never looks at the gold, and it has no sentinel values:
no answer is None.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from siked_ray.verification.choices import choice_without_marker, last_choice
from siked_ray.verification.region import Region, read_region
from siked_ray.verification.run_on import before_run_on

_BOX_MARKER = r"\boxed{}"
#: Tried in this order when a strategy names none of its own.
DEFAULT_MARKERS = ("Final Answer:", "####", "The answer is", _BOX_MARKER)

#: A phrase such as "The answer is" may stand in every step of a rationale, the others close it.
_CLOSING_MARKERS = frozenset({"final answer:", "####", _BOX_MARKER})
_ANSWER_PHRASE = re.compile(
    r"^[ \t]*A:|\b(?:answer|result|(?:correct|right|best) (?:option|choice))\b"
    r"(?: to (?:this|the) (?:question|problem))?(?: ?\([^()\n]{1,40}\))?[\s*]*(?:is\b:?|=|:|would be\b|will be\b)",
    re.IGNORECASE | re.MULTILINE,
)
_NOTHING_YET = re.compile(r"(?:[\s*$]|\\\[|\\\()*\n\s*")
_WORD_FIRST = re.compile(r"[\s*]*[A-Za-z]{2}")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_TAIL_CHARS = 4000
_MAX_OCCURRENCES = 8  # of a marker, from the end: a text of nothing but markers must not take long
_OPTION = re.compile(r"\(?[A-J]\)")
_NUMBER_START = re.compile(r"[\d.]")
_MAX_STATED_WORDS = 4
_PHRASE_RULE = "fall-back: answer phrase"


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read, by which rule (`marker: …`, `fall-back: …` or why nothing was read), and from which text.

    `end` is where that text ends in the completion; `has_value`: it states more than words.
    """

    answer: str | None
    rule: str
    region: str = ""
    is_cut: bool = False
    choice: str = ""
    has_value: bool = False
    end: int = 0

    @property
    def by_marker(self) -> bool:
        """Whether one of the strategy's own markers led to the answer."""
        return self.rule.startswith("marker")

    @property
    def by_phrase(self) -> bool:
        """Whether a phrase such as `answer:` led to the answer, where there is no marker."""
        return self.rule == _PHRASE_RULE


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands after one occurrence of a marker, and where that ends."""

    text: str
    end: int
    ends_text: bool
    is_box: bool = False


def extract_answer(
    text: str, markers: Sequence[str] = DEFAULT_MARKERS, *, truncated: bool = False, asks_itself: bool = False
) -> Extraction:
    """The answer that `text` states.

    `truncated` says that generation stopped at its token limit: an answer that touches the end of the text
    may then be half a number, and is not read. `asks_itself`: questions in the text are its own (least-to-most),
    and no sign that a base model runs on.
    """
    closed = _before_run_on(text, markers, asks_itself)
    truncated = truncated and len(closed) == len(text)
    failure = words = None
    for marker in _in_order(markers):
        found = _by_marker(closed, marker, "marker" if marker in markers else "fall-back", truncated)
        if found is None:
            continue
        if found.is_cut:
            return found
        if found.has_value or (found.answer is not None and _is_closing(marker)):
            return _later_box(closed, marker, markers, found, truncated) or found
        words, failure = words or (found if found.answer is not None else None), failure or found
    if words is not None:
        return _beyond_words(closed, words, truncated) or words
    return failure or _by_fall_back(closed, truncated)


def extract_choice(
    text: str, markers: Sequence[str] = DEFAULT_MARKERS, *, truncated: bool = False, asks_itself: bool = False
) -> str:
    """The letter of the option that `text` answers with, for golds that are a letter; empty if it names none."""
    closed = _before_run_on(text, markers, asks_itself)
    truncated = truncated and len(closed) == len(text)
    for marker in _in_order(markers):
        places = [place.text for place in _places(closed, marker) if not (truncated and place.ends_text)]
        if letter := last_choice(places):
            return letter
    return "" if truncated else choice_without_marker(closed[-_TAIL_CHARS:].rstrip())


def _in_order(markers: Sequence[str]) -> tuple[str, ...]:
    return (*markers, *(marker for marker in DEFAULT_MARKERS if marker not in markers))


def _is_closing(marker: str) -> bool:
    return marker.lower() in _CLOSING_MARKERS


def _before_run_on(text: str, markers: Sequence[str], asks_itself: bool) -> str:
    closing = (_marker_pattern(marker) for marker in _in_order(markers) if _is_closing(marker))
    return before_run_on(text, closing, (_ANSWER_PHRASE,), asks_itself=asks_itself)


def _later_box(text: str, marker: str, markers: Sequence[str], found: Extraction, truncated: bool) -> Extraction | None:
    """The answer in a box that follows what a phrase or words stated, unless the box is no marker of the strategy."""
    if (_is_closing(marker) and found.has_value) or (marker in markers and _BOX_MARKER not in markers):
        return None
    if _BOX.search(text, found.end) is None:
        return None
    box = _by_marker(text, _BOX_MARKER, "marker" if _BOX_MARKER in markers else "fall-back", truncated)
    return box if box is not None and box.answer is not None and box.end > found.end else None


def _beyond_words(text: str, words: Extraction, truncated: bool) -> Extraction | None:
    """What the text goes on to state where `the answer is the number of …` was no statement of an answer."""
    rest = text[words.end :]
    if len((words.answer or "").split()) <= _MAX_STATED_WORDS or not any(char.isdigit() for char in rest):
        return None
    found = _by_fall_back(rest, truncated)
    return found if found.has_value else None


def _by_marker(text: str, marker: str, kind: str, truncated: bool) -> Extraction | None:
    """Answer after the last occurrence of the marker that has one (words if none has more); None without a marker."""
    found = None
    for place in _places(text, marker):
        read = read_region(place.text, ends_text=place.ends_text, truncated=truncated, is_box=place.is_box)
        if read.answer is not None:
            if read.has_value or found is None or not found.has_value:
                found = _extraction(read, f"{kind}: {marker}", place.end)
        elif found is None or read.is_cut:
            reason = "cut off" if read.is_cut else "nothing readable"
            found = Extraction(None, f"{reason} after {marker!r}", is_cut=read.is_cut, end=place.end)
    return found


def _extraction(read: Region, rule: str, end: int = 0) -> Extraction:
    return Extraction(read.answer, rule, read.region, choice=read.choice, has_value=read.has_value, end=end)


def _places(text: str, marker: str) -> Iterator[_Place]:
    if marker == _BOX_MARKER:
        yield from _boxes(text)
        return
    for match in deque(_marker_pattern(marker).finditer(text), maxlen=_MAX_OCCURRENCES):
        start = match.end()
        blank = _NOTHING_YET.match(text, start)
        start = blank.end() if blank else start
        end = text.find("\n", start)
        ends_text = end < 0
        end = len(text) if ends_text else end
        if not _is_heading(marker, text[start:end], text[end:]):
            box = _last_box_within(text[start:end])
            yield _Place(box.text, end, box.ends_text, is_box=True) if box else _Place(text[start:end], end, ends_text)


def _is_heading(marker: str, region: str, rest: str) -> bool:
    """`#### Step 2` with text after it is Markdown, not an answer; `#### 72` and a last `#### Sunday` are answers."""
    is_sign = not any(char.isalnum() for char in marker)
    return is_sign and bool(rest.strip()) and bool(_WORD_FIRST.match(region))


@lru_cache(maxsize=64)
def _marker_pattern(marker: str) -> re.Pattern[str]:
    """Case and white space do not matter, nor does Markdown emphasis around the marker or its colon."""
    if marker == _BOX_MARKER:
        return _BOX
    body = marker.rstrip()
    colon = body.endswith(":")
    words = r"\s+".join(re.escape(word) for word in body.rstrip(":").split())
    boundary = r"\b" if body[:1].isalnum() else ""
    tail = r"[\s*]*(?::|\bis\b:?)\**" if colon else (r"\b" if body[-1:].isalnum() else "") + r"\s*\**:?\**"
    return re.compile(boundary + words + tail, re.IGNORECASE)


def _boxes(text: str) -> Iterator[_Place]:
    for match in deque(_BOX.finditer(text), maxlen=_MAX_OCCURRENCES):
        end = _closing_brace(text, match.end())
        if end is None:
            yield _Place("{", len(text), ends_text=True)  # an open brace: reads as cut off
        else:
            yield _Place(text[match.end() : end], end, ends_text=False, is_box=True)


def _last_box_within(region: str) -> _Place | None:
    boxes = list(_boxes(region)) if "\\" in region else []
    return boxes[-1] if boxes else None


def _closing_brace(text: str, start: int, max_chars: int = 1000) -> int | None:
    depth = 1
    for index in range(start, min(len(text), start + max_chars)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


def _by_fall_back(text: str, truncated: bool) -> Extraction:
    tail = text[-_TAIL_CHARS:].rstrip()
    return _by_phrase(tail, truncated) or _by_last_number(tail, truncated)


def _by_phrase(tail: str, truncated: bool) -> Extraction | None:
    """What the last `answer is` or `answer:` states: a number, an option, or a few words that nothing follows."""
    phrases = list(_ANSWER_PHRASE.finditer(tail))
    if not phrases:
        return None
    line, _, rest = tail[phrases[-1].end() :].lstrip(" *\n").partition("\n")
    read = read_region(line, ends_text=tail.endswith(line), truncated=truncated)
    if read.answer is None:
        return None
    is_name = len(read.answer.split()) <= 3 and read.answer[:1].isupper() and not any(map(str.isdigit, line + rest))
    if _NUMBER_START.search(read.answer) or _OPTION.match(line) or is_name:
        return _extraction(read, _PHRASE_RULE)
    return None


def _by_last_number(tail: str, truncated: bool) -> Extraction:
    """The last line that has a number: what follows its last `=`, else its last number."""
    lines = tail.split("\n")
    for index in range(len(lines) - 1, -1, -1):
        if not any(char.isdigit() for char in lines[index]):
            continue
        read = read_region(lines[index], ends_text=index == len(lines) - 1, truncated=truncated, prefer_last=True)
        if read.is_cut:
            return Extraction(None, "last number is cut off", is_cut=True)
        if read.answer is not None and _NUMBER_START.search(read.answer):
            rule = "last equation" if "=" in lines[index] else "last number"
            return _extraction(read, f"fall-back: {rule}")
    return Extraction(None, "no answer found")
