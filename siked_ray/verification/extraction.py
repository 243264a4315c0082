"""Reads the answer out of a completion: first by marker, then by documented fall-backs.

One extractor serves teacher, student and evaluation alike. What it returns is text; whether that text
equals the gold is `equivalence`'s question. It never looks at the gold, and it has no sentinel values:
no answer is None.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from siked_ray.verification.choices import choice_without_marker, last_choice
from siked_ray.verification.last_line import read_last_line
from siked_ray.verification.modifiers import denies
from siked_ray.verification.normalise import normalise
from siked_ray.verification.places import BOX, BOX_MARKER, Place, marker_pattern, place_after, places
from siked_ray.verification.region import Region, read_region
from siked_ray.verification.run_on import before_run_on

#: Tried in this order when a strategy names none of its own.
DEFAULT_MARKERS = ("Final Answer:", "####", "The answer is", BOX_MARKER)

#: A phrase such as "The answer is" may stand in every step of a rationale, the others close it.
_CLOSING_MARKERS = frozenset({"final answer:", "####", BOX_MARKER})
_ANSWER_PHRASE = re.compile(
    r"^[ \t]*A:|\b(?:answer|result|(?:correct|right|best) (?:option|choice))\b"
    r"(?: to (?:this|the) (?:question|problem))?(?: ?\([^()\n]{1,40}\))?[\s*]*(?:is\b:?|=|:|would be\b|will be\b)",
    re.IGNORECASE | re.MULTILINE,
)
#: How a text takes back what it stated, at the beginning of a sentence.
_RETRACTION = re.compile(
    r"(?:[.!?]\s+|\n\s*)\W*(?:But,?\s+)?(?:Wait|Actually|Hm+|Oops|Sorry|Correction|Hold on"
    r"|On second thoughts?|Scratch that"
    r"|I made an? (?:mistake|error)(?=(?s:.){0,400}\d)|That(?:'s| is| was) (?:wrong|not right|incorrect"
    r"|not correct)|This is (?:wrong|incorrect)"
    r"|No, (?:that|wait|it|this)|Not quite|I was wrong|Let me (?:re-?(?:check|do|consider|calculate|compute"
    r"|think)|correct))\b",
    re.IGNORECASE,
)
#: Not a question that restates the problem, but an answer in doubt: `7? No.`
_DOUBT = re.compile(r"[\s*$(]*(?:[-+.\d]|\\|(?:\S+\s*){1,3}\?)")
_MAX_BEFORE_CHARS = 80
_TAIL_CHARS = 4000
_OPTION = re.compile(r"\(?[A-J]\)")
_NUMBER_START = re.compile(r"[\d.]")
_MAX_STATED_WORDS = 4
_PHRASE_RULE = "fall-back: answer phrase"


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read, by which rule (`marker: …`, `fall-back: …` or why nothing was read), and from which text.

    `start` and `end` are where that text stands in the completion; `has_value`: it states more than words;
    `is_unclear`: it has numbers, of which none is an answer (`not 5`, `5 squared`).
    """

    answer: str | None
    rule: str
    region: str = ""
    is_cut: bool = False
    choice: str = ""
    has_value: bool = False
    is_unclear: bool = False
    start: int = 0
    end: int = 0

    @property
    def by_marker(self) -> bool:
        """Whether one of the strategy's own markers led to the answer."""
        return self.rule.startswith("marker")

    @property
    def by_phrase(self) -> bool:
        """Whether a phrase such as `answer:` led to the answer, where there is no marker."""
        return self.rule == _PHRASE_RULE


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
    found = _stated(closed, markers, truncated)
    if found is None:
        return _by_fall_back(closed, truncated)
    return _corrected(closed, found, markers, truncated) or found


def _stated(closed: str, markers: Sequence[str], truncated: bool) -> Extraction | None:
    """What the first marker with an answer states, else why there is none; None without any marker."""
    failure = words = None
    for marker in _in_order(markers):
        found = _by_marker(closed, marker, markers, truncated)
        if found is None:
            continue
        if found.is_cut:
            return found
        if found.is_unclear and _is_closing(marker):
            later = _stated(closed[found.end :], markers, truncated) if found.end < len(closed) else None
            return later if later is not None and later.has_value else found
        if found.has_value or (found.answer is not None and _is_closing(marker)):
            return _later_box(closed, marker, markers, found, truncated) or found
        words, failure = words or (found if found.answer is not None else None), failure or found
    if words is not None:
        return _beyond_words(closed, words, truncated) or words
    return failure


def _corrected(closed: str, found: Extraction, markers: Sequence[str], truncated: bool) -> Extraction | None:
    """What a text states after it took its answer back (`Wait, …`): by a marker or phrase, or else nothing."""
    retraction = _RETRACTION.search(closed, found.start) if found.answer is not None else None
    if retraction is None:
        return None
    rest = closed[retraction.end() :]
    again = _stated(rest, markers, truncated) or _by_phrase(rest, truncated)
    if again is not None and again.answer is not None:
        return again
    return Extraction(None, "the answer was taken back")


def extract_choice(
    text: str, markers: Sequence[str] = DEFAULT_MARKERS, *, truncated: bool = False, asks_itself: bool = False
) -> str:
    """The letter of the option that `text` answers with, for golds that are a letter; empty if it names none."""
    closed = _before_run_on(text, markers, asks_itself)
    truncated = truncated and len(closed) == len(text)
    for marker in _in_order(markers):
        stated = [place.text for place in places(closed, marker) if not (truncated and place.ends_text)]
        if letter := last_choice(stated):
            return letter
    return "" if truncated else choice_without_marker(closed[-_TAIL_CHARS:].rstrip())


def _in_order(markers: Sequence[str]) -> tuple[str, ...]:
    return (*markers, *(marker for marker in DEFAULT_MARKERS if marker not in markers))


def _is_closing(marker: str) -> bool:
    return marker.lower() in _CLOSING_MARKERS


def _before_run_on(text: str, markers: Sequence[str], asks_itself: bool) -> str:
    closing = (marker_pattern(marker) for marker in _in_order(markers) if _is_closing(marker))
    return before_run_on(text, closing, (_ANSWER_PHRASE,), asks_itself=asks_itself)


def _later_box(text: str, marker: str, markers: Sequence[str], found: Extraction, truncated: bool) -> Extraction | None:
    """The answer in a box that follows what a phrase or words stated, unless the box is no marker of the strategy."""
    if (_is_closing(marker) and found.has_value) or (marker in markers and BOX_MARKER not in markers):
        return None
    if BOX.search(text, found.end) is None:
        return None
    box = _by_marker(text, BOX_MARKER, markers, truncated)
    return box if box is not None and box.answer is not None and box.end > found.end else None


def _beyond_words(text: str, words: Extraction, truncated: bool) -> Extraction | None:
    """What the text goes on to state where `the answer is the number of …` was no statement of an answer."""
    rest = text[words.end :]
    if len((words.answer or "").split()) <= _MAX_STATED_WORDS or not any(char.isdigit() for char in rest):
        return None
    found = _by_fall_back(rest, truncated)
    return found if found.has_value else None


def _by_marker(text: str, marker: str, markers: Sequence[str], truncated: bool) -> Extraction | None:
    """Answer after the last occurrence of the marker that has one (words if none has more); None without a marker."""
    found = None
    rule = f"{'marker' if marker in markers else 'fall-back'}: {marker}"
    for place in places(text, marker):
        if place.after_question:
            read = _after_question(place, markers, truncated, rule)
        else:
            read = _at(place, marker, truncated, rule)
        if read.answer is not None:
            if read.has_value or found is None or not found.has_value:
                found = read
        elif found is None or read.is_cut or read.is_unclear:
            found = read
    return found


def _at(place: Place, marker: str, truncated: bool, rule: str) -> Extraction:
    read = read_region(place.text, ends_text=place.ends_text, truncated=truncated, is_box=place.is_box)
    if read.answer is not None and not (place.before and denies(normalise(place.before[-_MAX_BEFORE_CHARS:]))):
        return _extraction(read, rule, place.start, place.end)
    is_unclear = not read.is_cut and any(map(str.isdigit, read.region))
    why = "cut off" if read.is_cut else "no clear answer" if is_unclear else "nothing readable"
    rule = f"{why} after {marker!r}"
    return Extraction(None, rule, is_cut=read.is_cut, is_unclear=is_unclear, start=place.start, end=place.end)


def _after_question(place: Place, markers: Sequence[str], truncated: bool, rule: str) -> Extraction:
    """The answer to a question behind a marker: what the text below it states; nothing where an answer is in doubt."""
    read = _stated(place.text, markers, truncated)
    if read is None and not _DOUBT.match(place.before):
        read = _by_fall_back(place.text, truncated)
    if read is None or read.answer is None:
        return Extraction(None, read.rule if read else "a question", is_unclear=True, start=place.start, end=place.end)
    return replace(read, rule=rule, start=place.start + read.start, end=place.end)


def _extraction(read: Region, rule: str, start: int = 0, end: int = 0) -> Extraction:
    return Extraction(
        read.answer, rule, read.region, choice=read.choice, has_value=read.has_value, start=start, end=end
    )


def _by_fall_back(text: str, truncated: bool) -> Extraction:
    tail = text[-_TAIL_CHARS:].rstrip()
    return _by_phrase(tail, truncated) or _by_last_number(tail, truncated)


def _by_phrase(tail: str, truncated: bool) -> Extraction | None:
    """What the last `answer is` or `answer:` states: a number, an option, or a few words that nothing follows."""
    phrases = list(_ANSWER_PHRASE.finditer(tail))
    if not phrases:
        return None
    place = place_after(tail, phrases[-1].end())
    if place is None or place.after_question:
        return None
    line, rest = place.text, tail[place.end :]
    read = read_region(line, ends_text=place.ends_text, truncated=truncated, is_box=place.is_box)
    if read.answer is None:
        return None
    is_name = len(read.answer.split()) <= 3 and read.answer[:1].isupper() and not any(map(str.isdigit, line + rest))
    if _NUMBER_START.search(read.answer) or _OPTION.match(line) or is_name:
        return _extraction(read, _PHRASE_RULE)
    return None


def _by_last_number(tail: str, truncated: bool) -> Extraction:
    read, rule = read_last_line(tail, truncated=truncated)
    if read is None:
        return Extraction(None, rule, is_cut="cut off" in rule)
    return _extraction(read, f"fall-back: {rule}")
