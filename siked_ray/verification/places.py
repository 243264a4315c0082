"""Where in a completion a marker's answer stands: behind the marker, in a box, or below a heading or question."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

BOX_MARKER = r"\boxed{}"
BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(-?\$?\d[\d.,]*(?<![.,])))")
_MAX_OCCURRENCES = 8  # of a marker, from the end: a text of nothing but markers must not take long
_MAX_LINES = 3  # that lead up to an answer
_NOTHING_YET = re.compile(r"(?:[\s*$]|\\\[|\\\(|```\w*)*\n\s*")
#: What begins a line of a list or a quotation, and is no sign: `- 45`, `> 45`.
_BULLET = re.compile(r"(?:(?:[-+*\u2022>\u25cf\u25aa]|\d{1,2}[.)](?=\s+[A-Za-z$*\\-]))[ \t]+)+(?=\S)")
_TABLE_ROW = re.compile(r"\|(?:[^|\n]*\|)*[ \t]*([^|\n]*?)[ \t]*\|[ \t]*")
_WORD_FIRST = re.compile(r"[\s*]*[A-Za-z]{2}")
#: A line that only leads up to the answer below it.
_LEADS_UP = re.compile(
    r"[A-Za-z][^\n]*(?::|\b(?:is|are|has|have|was|were|equals))[\s*$]*(?:\\\[|\\\()?[\s*]*", re.IGNORECASE
)
#: A line that restates the question without its mark: `Find the age of his son.`
_RESTATES = re.compile(
    r"[\s*]*(?:Q\d*[.:]\s*)?(?:Find|Determine|Calculate|Compute|Solve|Evaluate|What|How|Which|Who|When|Where)\b(?=[^\n]*[a-z])[^\n]*",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"[^?\n]*[^?\s]\s*\?+[\s*\"')]*")


@dataclass(frozen=True, slots=True)
class Place:
    """What stands after one occurrence of a marker, and where that starts and ends.

    `before` stands before a box on its line. `after_question`: a question (`before`) stood there, and the text after it
    is still to be searched for its answer.
    """

    text: str
    start: int
    end: int
    ends_text: bool
    is_box: bool = False
    before: str = ""
    after_question: bool = False


def places(text: str, marker: str) -> Iterator[Place]:
    """The last occurrences of a marker in reading order."""
    if marker == BOX_MARKER:
        yield from _boxes(text)
        return
    for match in deque(marker_pattern(marker).finditer(text), maxlen=_MAX_OCCURRENCES):
        place = place_after(text, match.end(), is_sign=not any(char.isalnum() for char in marker))
        if place is not None:
            yield place


def place_after(text: str, start: int, *, is_sign: bool = False) -> Place | None:
    """The line behind a marker, or the next that says something; None where the marker is a mere heading."""
    for _ in range(_MAX_LINES):
        blank = _NOTHING_YET.match(text, start)
        start = blank.end() if blank else start
        end = text.find("\n", start)
        ends_text = end < 0
        end = len(text) if ends_text else end
        line = text[start:end]
        if is_sign and text[end:].strip() and _WORD_FIRST.match(line):
            return None  # `#### Step 2` with text after it is Markdown; `#### 72` and a last `#### Sunday` are answers
        question = _QUESTION.match(line) if "?" in line else None
        if question is None and text[end:].strip() and "=" not in line:
            question = _RESTATES.fullmatch(line)
        if question is not None:
            after = start + question.end()
            return Place(text[after:], after, len(text), True, before=question.group(), after_question=True)
        if box := _last_box_within(line):
            return Place(box.text, start, end, box.ends_text, is_box=box.is_box, before=box.before)
        if ends_text or not _LEADS_UP.fullmatch(line) or not text[end:].strip():
            break
        start = end
    if blank:
        line = _TABLE_ROW.sub(r"\1", line) if line.startswith("|") else _BULLET.sub("", line, count=1)
    return Place(line, start, end, ends_text)


@lru_cache(maxsize=64)
def marker_pattern(marker: str) -> re.Pattern[str]:
    """Case and white space do not matter, nor does Markdown emphasis around the marker or its colon."""
    if marker == BOX_MARKER:
        return BOX
    body = marker.rstrip()
    colon = body.endswith(":")
    words = r"\s+".join(re.escape(word) for word in body.rstrip(":").split())
    boundary = r"\b" if body[:1].isalnum() else ""
    tail = r"[\s*]*(?::|\bis\b:?)\**" if colon else (r"\b" if body[-1:].isalnum() else "") + r"\s*\**:?\**"
    return re.compile(boundary + words + tail, re.IGNORECASE)


def _boxes(text: str) -> Iterator[Place]:
    for match in deque(BOX.finditer(text), maxlen=_MAX_OCCURRENCES):
        end = match.end() if match[1] else _closing_brace(text, match.end())
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if match[1]:
            yield Place(
                match[1], match.start(), match.end(), ends_text=match.end() == len(text), is_box=True, before=before
            )
        elif end is None:
            yield Place("{", match.start(), len(text), ends_text=True)  # an open brace: reads as cut off
        else:
            yield Place(text[match.end() : end], match.end(), end, ends_text=False, is_box=True, before=before)


def _last_box_within(line: str) -> Place | None:
    boxes = list(_boxes(line)) if "\\" in line else []
    return boxes[-1] if boxes else None


def _closing_brace(text: str, start: int, max_chars: int = 1000) -> int | None:
    depth = 1
    for index in range(start, min(len(text), start + max_chars)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None
