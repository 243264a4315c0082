"""Gold answers as canonical text.

A gold keeps its value and its kind: a number (`"72"`, `"-0.5"`), a fraction in lowest terms (`"5/2"`), a ratio
(`"3:2"`) or a list of those in the order of the source (`"11; 12; 13"`). Of a whole solution what it states at its end
counts (`final_statement`). What cannot be read whole is refused with a reason; a refused gold is never replaced by
something else, and 0 is an answer.
"""

import re
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from siked_ray.data.final_statement import final_statement


class ExclusionReason(StrEnum):
    """Why a record of a source is not a problem of the set."""

    NO_QUESTION = "no question"
    NO_ANSWER = "no answer"
    YES_NO = "yes/no answer"
    TIME = "answer is a time of day"
    NOT_A_NUMBER = "answer is not a plain number"
    DUPLICATE = "duplicate question"
    CONFLICT = "conflicting answers to the same question"
    IN_TEST_SET = "question of a test set"
    LIKE_TEST_SET = "nearly a question of a test set"


class UnusableAnswer(ValueError):
    """The answer of a record cannot be checked as a number; `reason` says why."""

    def __init__(self, reason: ExclusionReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


_NUMBER = r"(?:(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_PLAIN = re.compile(rf"[-+]?{_NUMBER}")
#: Python converts no more than 4,300 digits between text and integers.
_INTEGER = "([0-9]{1,1000})"
_FRACTION = re.compile(rf"(-?)\s*\(?\s*(?:{_INTEGER}\s+)?{_INTEGER}\s*/\s*{_INTEGER}\s*\)?")
_RATIO = re.compile(rf"{_NUMBER}(?:\s*:\s*{_NUMBER})+")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
_NAMED_TIME = re.compile(r"[0-9:]+\s*(?:[ap]\.?\s?m\b|o'?clock)", re.IGNORECASE)
_CURRENCY = re.compile(r"^([-+]?)\s*[$€£¥]\s*")
_UNIT_IN_BRACKETS = re.compile(r"\s*\([^()]*\)$")
_UNIT_IN_WORDS = re.compile(r"(?<=[0-9])\s*(?:%|\s[A-Za-z]{2,}\.?)$")
_WORDS_THAT_CHANGE_THE_VALUE = re.compile(
    r"\b(?:tens|dozens?|hundreds?|thousands?|[a-z]*illions?|lakhs?|lacs?|crores?|scores?|gross|grand|mil|thou|bn|mn"
    r"|hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|elevenths?|twelfths?"
    r"|[a-z]*(?:teenths?|tieths?)|hundredths?|thousandths?|[a-z]*illionths?|point|and|or|to|per ?mille|permille"
    r"|plus|minus|times|mod|more|less|below|under|over|negative|short|squared|cubed|factorial|doubled|tripled|pi|sqrt"
    r"|at least|at most)\b",
    re.IGNORECASE,
)
_MISSING = frozenset({"", "none", "null", "nan", "n/a", "na"})
_YES_NO = frozenset({"yes", "no", "true", "false"})


def canonical_answer(answer: object, *, question: str = "") -> str:
    """Canonical text of a gold as found in a source.

    Of a solution its final statement is read: after `####`, after `The answer is`, in `\\boxed{}`. `question` only
    tells a ratio from a time of day: `3:45` is a ratio where the question asks for one. Raises `UnusableAnswer`.
    """
    text = as_found(answer)
    if text.lower() in _MISSING:
        raise UnusableAnswer(ExclusionReason.NO_ANSWER)
    if isinstance(answer, bool) or text.lower().rstrip(".!") in _YES_NO:
        raise UnusableAnswer(ExclusionReason.YES_NO)
    return "; ".join(_canonical_part(part.strip(), question) for part in text.split(";"))


def as_found(answer: object) -> str:
    """The final answer of a record as text: a solution's final statement, lists joined by `; `, white space folded."""
    if answer is None:
        return ""
    if isinstance(answer, list | tuple):
        return "; ".join(as_found(part) for part in answer)
    content = answer if isinstance(answer, bytes) else str(answer).encode("utf-8", "replace")
    return " ".join(final_statement(content.decode("utf-8", "replace")).split())


def canonical_number(text: str) -> str:
    """`"1,234.50"` → `"1234.5"`, `"18.0"` → `"18"`, `"-0"` → `"0"`: the same value, exactly, in its shortest form.

    Raises `UnusableAnswer` where the text is not one decimal number.
    """
    text = text.replace("\N{MINUS SIGN}", "-")
    if not _PLAIN.fullmatch(text):
        raise UnusableAnswer(ExclusionReason.NOT_A_NUMBER)
    digits = format(Decimal(text.replace(",", "")), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return "0" if digits in ("-0", "") else digits


def _canonical_part(text: str, question: str) -> str:
    if _is_time(text, question):
        raise UnusableAnswer(ExclusionReason.TIME)
    bare = _without_unit(text)
    if _RATIO.fullmatch(bare):
        return ":".join(canonical_number(part.strip()) for part in bare.split(":"))
    fraction = _FRACTION.fullmatch(bare)
    return _canonical_fraction(fraction) if fraction else canonical_number(bare)


def _is_time(text: str, question: str) -> bool:
    looks_like_a_clock = _CLOCK.match(text) is not None and "ratio" not in question.lower()
    return looks_like_a_clock or _NAMED_TIME.match(text) is not None


def _without_unit(text: str) -> str:
    text = _CURRENCY.sub(r"\1", text.replace("\N{MINUS SIGN}", "-"))
    if re.match(r"[-+]?[0-9.]", text):
        text = _UNIT_IN_BRACKETS.sub("", text)
    if _WORDS_THAT_CHANGE_THE_VALUE.search(text):
        raise UnusableAnswer(ExclusionReason.NOT_A_NUMBER)
    return _UNIT_IN_WORDS.sub("", text).strip()


def _canonical_fraction(match: re.Match[str]) -> str:
    sign, whole, numerator, denominator = match.groups()
    if int(denominator) == 0:
        raise UnusableAnswer(ExclusionReason.NOT_A_NUMBER)
    value = Fraction(int(numerator), int(denominator)) + int(whole or 0)
    return str(-value if sign else value)
