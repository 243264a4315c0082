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

from siked_ray.verification.region import read_region

#: Tried in this order when a strategy names none of its own.
DEFAULT_MARKERS = ("Final Answer:", "####", "The answer is", r"\boxed{}")

#: A phrase such as "The answer is" may stand in every step of a rationale, the others close it.
_CLOSING_MARKERS = frozenset({"final answer:", "####", r"\boxed{}"})
_RUN_ON = re.compile(r"\n[ \t]*(?:Question|Q|Problem|#{2,3} ?(?:Instruction|Question|Input|Problem))\s*:")
_ANSWER_PHRASE = re.compile(
    r"^[ \t]*A:|\b(?:answer|result)\b(?: to (?:this|the) (?:question|problem))?(?: ?\([^()\n]{1,40}\))?[\s*]*"
    r"(?:is\b:?|=|:|would be\b|will be\b)",
    re.IGNORECASE | re.MULTILINE,
)
_NOTHING_YET = re.compile(r"(?:[\s*$]|\\\[|\\\()*\n\s*")
_WORD_FIRST = re.compile(r"[\s*]*[A-Za-z]{2}")
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_TAIL_CHARS = 4000
_MAX_OCCURRENCES = 8  # of a marker, from the end: a text of nothing but markers must not take long
_OPTION = re.compile(r"\(?[A-J]\)")
_NUMBER_START = re.compile(r"[\d.]")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read, by which rule (`marker: …`, `fall-back: …` or why nothing was read), and from which text."""

    answer: str | None
    rule: str
    region: str = ""
    is_cut: bool = False
    choice: str = ""

    @property
    def by_marker(self) -> bool:
        """Whether one of the strategy's own markers led to the answer."""
        return self.rule.startswith("marker")


def extract_answer(text: str, markers: Sequence[str] = DEFAULT_MARKERS, *, truncated: bool = False) -> Extraction:
    """The answer that `text` states.

    `truncated` says that generation stopped at its token limit: an answer that touches the end of the text
    may then be half a number, and is not read.
    """
    closed = _before_run_on(text, markers)
    truncated = truncated and len(closed) == len(text)
    failure = None
    for marker in (*markers, *(marker for marker in DEFAULT_MARKERS if marker not in markers)):
        extraction = _by_marker(closed, marker, "marker" if marker in markers else "fall-back", truncated)
        if extraction and (extraction.answer is not None or extraction.is_cut):
            return extraction
        failure = failure or extraction
    return failure or _by_fall_back(closed, truncated)


def _before_run_on(text: str, markers: Sequence[str]) -> str:
    """Text up to where a base model, after a closing marker, starts to invent the next question."""
    for run_on in _RUN_ON.finditer(text):
        head = text[: run_on.start()]
        for marker in {*markers, *DEFAULT_MARKERS}:
            if marker.lower() in _CLOSING_MARKERS and _marker_pattern(marker).search(head):
                return head
        break
    return text


def _by_marker(text: str, marker: str, kind: str, truncated: bool) -> Extraction | None:
    """Answer after the last occurrence of the marker that has one; None if the marker does not occur."""
    found = None
    for region, is_cut in _regions(text, marker):
        read = read_region(region, at_end=truncated and is_cut)
        if read.answer is not None:
            found = Extraction(read.answer, f"{kind}: {marker}", read.region, choice=read.choice)
        elif found is None or read.is_cut:
            reason = "cut off" if read.is_cut else "nothing readable"
            found = Extraction(None, f"{reason} after {marker!r}", is_cut=read.is_cut)
    return found


def _regions(text: str, marker: str) -> Iterator[tuple[str, bool]]:
    """What stands after each occurrence of the marker, and whether it runs to the end of the text."""
    if marker == r"\boxed{}":
        yield from _boxes(text)
        return
    for match in deque(_marker_pattern(marker).finditer(text), maxlen=_MAX_OCCURRENCES):
        start = match.end()
        blank = _NOTHING_YET.match(text, start)
        start = blank.end() if blank else start
        end = text.find("\n", start)
        region = text[start : end if end >= 0 else len(text)]
        if not _is_heading(marker, region, text[end:] if end >= 0 else ""):
            yield _boxes_within(region), end < 0


def _is_heading(marker: str, region: str, rest: str) -> bool:
    """`#### Step 2` with text after it is Markdown, not an answer; `#### 72` and a last `#### Sunday` are answers."""
    is_sign = not any(char.isalnum() for char in marker)
    return is_sign and bool(rest.strip()) and bool(_WORD_FIRST.match(region))


@lru_cache(maxsize=64)
def _marker_pattern(marker: str) -> re.Pattern[str]:
    """Case and white space do not matter, nor does Markdown emphasis around the marker or its colon."""
    if marker == r"\boxed{}":
        return _BOX
    body = marker.rstrip()
    colon = body.endswith(":")
    words = r"\s+".join(re.escape(word) for word in body.rstrip(":").split())
    boundary = r"\b" if body[:1].isalnum() else ""
    tail = r"[\s*]*(?::|\bis\b:?)\**" if colon else (r"\b" if body[-1:].isalnum() else "") + r"\s*\**:?\**"
    return re.compile(boundary + words + tail, re.IGNORECASE)


def _boxes(text: str) -> Iterator[tuple[str, bool]]:
    for match in deque(_BOX.finditer(text), maxlen=_MAX_OCCURRENCES):
        end = _closing_brace(text, match.end())
        if end is None:
            yield "{", True  # an open brace: reads as cut off
        else:
            yield text[match.end() : end], False


def _boxes_within(region: str) -> str:
    """Content of the last box in a region, or the region when it has none; an open brace when the box is cut off."""
    boxes = list(_boxes(region)) if "\\" in region else []
    return boxes[-1][0] if boxes else region


def _closing_brace(text: str, start: int, max_chars: int = 1000) -> int | None:
    depth = 1
    for index in range(start, min(len(text), start + max_chars)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


def _by_fall_back(text: str, truncated: bool) -> Extraction:
    tail = text[-_TAIL_CHARS:].rstrip()
    phrases = list(_ANSWER_PHRASE.finditer(tail))
    if phrases:
        line = tail[phrases[-1].end() :].lstrip(" *\n").partition("\n")[0]
        read = read_region(line, at_end=truncated and tail.endswith(line))
        if read.answer is not None and (_NUMBER_START.search(read.answer) or _OPTION.match(line)):
            return Extraction(read.answer, "fall-back: answer phrase", read.region, choice=read.choice)
    return _by_last_number(tail, truncated)


def _by_last_number(tail: str, truncated: bool) -> Extraction:
    """The last line that has a number: what follows its last `=`, else its last number."""
    lines = tail.split("\n")
    for index in range(len(lines) - 1, -1, -1):
        if not any(char.isdigit() for char in lines[index]):
            continue
        read = read_region(lines[index], at_end=truncated and index == len(lines) - 1, prefer_last=True)
        if read.is_cut:
            return Extraction(None, "last number is cut off")
        if read.answer is not None and _NUMBER_START.search(read.answer):
            rule = "last equation" if "=" in lines[index] else "last number"
            return Extraction(read.answer, f"fall-back: {rule}", read.region, choice=read.choice)
    return Extraction(None, "no answer found")
