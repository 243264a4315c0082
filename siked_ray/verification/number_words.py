"""English number words: `twelve`, `three quarters of a cup`, `two point five`, `seven and a half hours`."""

import re
from fractions import Fraction

from siked_ray.core.number_names import SCALES, SMALL, TENS
from siked_ray.verification.modifiers import NOT_A_UNIT

_ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_WORDS.split(), start=1)}
_DIGITS = {word: value for word, value in SMALL.items() if value < 10}
_NUMBERS = {*SMALL, *TENS, *SCALES, "hundred"}
_ONE_PART = {"half": 2, "quarter": 4, "third": 3, **{word: value for word, value in _ORDINALS.items() if value > 2}}
_ONE_PART |= {"twentieth": 20, "hundredth": 100, "thousandth": 1000}
_PARTS = {"halves": 2, **{f"{word}s": value for word, value in _ONE_PART.items() if word != "half"}}
_UNIT = re.compile(rf"(?:\s*(?:(?!{NOT_A_UNIT})[a-z][a-z'-]*|or so)){{0,2}}", re.IGNORECASE)
_WHOLE_OF = re.compile(r"(?: of (?:the|a|an|her|his|their|its|my|all|each|every))?(?: [a-z'-]+){0,3}")
_MAX_CHARS = 200


def read_number_words(text: str) -> Fraction | None:
    """The number that a phrase such as `minus twenty-five` or `two and a half hours` states, else None."""
    if len(text) > _MAX_CHARS or not text[:1].isalpha():
        return None
    text = text.strip().strip(".!").lower()
    if (ordinal := _ORDINALS.get(text.removeprefix("the "))) is not None:
        return Fraction(ordinal)
    words = re.split(r"[\s-]+", text)
    negative = words[0] in ("minus", "negative")
    words = words[1:] if negative else words
    if words and words[0] in ("a", "an", "the") and len(words) > 1 and words[1] in (*_NUMBERS, *_ONE_PART):
        words = ["one", *words[1:]] if words[0] != "the" and words[1] not in SMALL else words[1:]
    read = _read(words)
    if read is None or not _is_end(words[read[1] :], is_part=read[0].denominator > 1):
        return None
    return -read[0] if negative else read[0]


def _is_end(rest: list[str], *, is_part: bool) -> bool:
    """Whether what follows a number is a unit at most; of a part, also what it is a part of."""
    text = " ".join(rest)
    if _NUMBERS & set(rest) or "half" in rest:
        return False
    if is_part and (text.startswith(("of ", "an ", "a "))):
        return _WHOLE_OF.fullmatch(" " + text if text.startswith("of ") else " of " + text) is not None
    return _UNIT.fullmatch(text) is not None


def _read(words: list[str]) -> tuple[Fraction, int] | None:
    """The number that the words begin with, and how many of them it takes."""
    if words[:1] == ["half"]:
        return _scaled(Fraction(1, 2), words, 1)
    whole, end = _integer(words)
    if end == 0 and words[:1] != ["point"]:
        return None
    if whole is None:
        return None
    if words[end : end + 1] == ["point"]:
        return _decimal(whole, words, end + 1)
    if end == len(words):
        return Fraction(whole), end
    if (part := _part(whole, words[end])) is not None:
        return _scaled(part, words, end + 1)
    if words[end] == "and":
        top, length = (1, 1) if words[end + 1 : end + 2] in (["a"], ["an"]) else _integer(words[end + 1 :])
        after = end + 1 + length
        if length and top is not None and after < len(words) and (part := _part(top, words[after])) is not None:
            return _scaled(whole + part, words, after + 1)
    return Fraction(whole), end


def _part(top: int, name: str) -> Fraction | None:
    """`one third`, `two thirds`; None for what is no part, as `five third`."""
    bottom = _ONE_PART.get(name) if top == 1 else _PARTS.get(name)
    return None if bottom is None else Fraction(top, bottom)


def _scaled(value: Fraction, words: list[str], end: int) -> tuple[Fraction, int]:
    """`half a million`, `two and a half thousand`."""
    skip = 1 if words[end : end + 1] == ["a"] and words[end + 1 : end + 2] and words[end + 1] in SCALES else 0
    scale = SCALES.get(words[end + skip]) if end + skip < len(words) else None
    return (value, end) if scale is None else (value * scale, end + skip + 1)


def _decimal(whole: int, words: list[str], start: int) -> tuple[Fraction, int] | None:
    end = start
    while end < len(words) and words[end] in _DIGITS:
        end += 1
    if end == start:
        return None
    digits = "".join(str(_DIGITS[word]) for word in words[start:end])
    return _scaled(Fraction(int(f"{whole}{digits}"), 10 ** len(digits)), words, end)


def _integer(words: list[str]) -> tuple[int | None, int]:
    """The integer that the words begin with (None for what is none, as `five six`), and how many they are."""
    end = 0
    while end < len(words) and (
        words[end] in _NUMBERS
        or (end and words[end] == "and" and words[end + 1 : end + 2] and words[end + 1] in _NUMBERS)
    ):
        end += 1
    while end and _ends_in_part(words, end):
        end = words[:end].index("and")
    return (_value([word for word in words[:end] if word != "and"]) if end else 0), end


def _ends_in_part(words: list[str], end: int) -> bool:
    """Whether the last of the words count parts, as in `two and three quarters`."""
    return "and" in words[:end] and end < len(words) and (words[end] in _PARTS or words[end] in _ONE_PART)


def _value(words: list[str]) -> int | None:
    """Sum of `… thousand`, `… hundred` and the rest; None for sequences that are no number (`five six`)."""
    total, group, last_part = 0, 0, 1000
    for word in words:
        if word in SCALES:
            total, group, last_part = total + max(group, 1) * SCALES[word], 0, 1000
        elif word == "hundred":
            group, last_part = max(group, 1) * 100, 100
        else:
            part = SMALL.get(word, TENS.get(word, 0))
            if (part >= 10 and last_part < 100) or (part < 10 and last_part < 20):
                return None
            group, last_part = group + part, part if part >= 20 else 1
    return total + group
