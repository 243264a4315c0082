"""Reads the number that a sentence states, where something stands beside it: `She has 45 pens in 5 boxes.`

A number that what stands beside it makes part of something else (`not 5`, `5 squared`) is none (`modifiers`).
"""

import re

from siked_ray.verification.atoms import ATOM, quantity_of
from siked_ray.verification.mathematics import VARIABLES
from siked_ray.verification.modifiers import is_changed
from siked_ray.verification.normalise import normalise
from siked_ray.verification.quantity import read_items
from siked_ray.verification.values import Listing, Value

_EDGE = " \t\r\n,;:!?\"'*"
_MAX_CHARS = 600
NUMBER_IN_TEXT = re.compile(ATOM, re.IGNORECASE)
_TIME_IN_TEXT = re.compile(
    r"(?<![\d:.])\d{1,2}(?::\d{2}){1,2}(?![\d:])\s*(?:[ap]\.?\s?m\b\.?)?|(?<![\d:.,])\d{1,2}\s?[ap]\.?\s?m\b\.?|(?<![\w:.])\d+(?:\.\d+)?\s?:\s?\d+(?:\.\d+)?(?![\d:])",
    re.IGNORECASE,
)
_WORD_BEFORE_SIGN = re.compile(r"[A-Za-z]{2}$")
#: A number after one of these says when, where or for whom, where the sentence has another number.
_ASIDE = re.compile(
    r"\b(?:after|in|into|for|on|at|with|by|per|from|every|each|of|among|between|over|within|during|before|day|step|who\s+(?:is|was))"
    r"\s+(?:the\s+|all\s+|those\s+|first\s+|last\s+|next\s+|about\s+)?$",
    re.IGNORECASE,
)
#: A side of an equation in an unknown, and not its name: `3x + 2`, `x^2`, `xy`; but `f(2)`, `Total`, `3 apples + 4`.
_TERM = re.compile(
    rf"\d\s?(?:[a-fi-kn-rt-wyzXYZ]|x(?!\s?[$£€]?[\d(.]))(?![A-Za-z.'])|(?<![A-Za-z\\])(?!a\s)[a-zA-Z](?![A-Za-z'])\s*[-+*/^!|(]"
    rf"|(?<![A-Za-z][-])[-+*/^|({{]\s*[a-zA-Z](?![A-Za-z']|\s[A-Za-z])|(?<![A-Za-z\\])(?-i:{VARIABLES})"
    r"|\\(?:sqrt|log|ln|sin|cos|tan|[dt]?frac|sum|int|lim)[^A-Za-z]*[a-zA-Z](?![A-Za-z])"
)
_NAME = re.compile(rf"(?!(?-i:{VARIABLES}))" r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'?(?:\s?\{?[A-Za-z]{1,4}\}?)?(?:\([^()]*\))?")
_NEXT_CLAUSE = re.compile(
    r"[,;:]\s|\.\s|=>|\\(?:Right|right)arrow|\b(?:so|then|therefore|thus|hence|gives?|means|that|where|and|is|are|was|gets?|got|finds?|have|has|obtain|yields?)\b"
)


def number_in(text: str, *, prefer_last: bool, starts: bool = False) -> str | None:
    """The number that a sentence states, where it stands alone; None if something beside it changes it.

    That is the first if the text starts with it (or `starts` says that it should), else a single amount of money, else
    the last that does not merely say when, where or for whom. `prefer_last`: the text is no statement but a last line.
    """
    found = _numbers(text)
    if not found:
        return None
    if (starts or found[0][0] == 0) and not prefer_last:
        start, end, value = found[0]
    else:
        amounts = [] if prefer_last or "$" not in text else [item for item in found if "$" in text[item[0] : item[1]]]
        stated = [item for item in found if not _ASIDE.search(text[max(0, item[0] - 40) : item[0]])]
        start, end, value = amounts[0] if len(amounts) == 1 else (stated or found)[-1]
    return None if is_changed(text, start, end) else value.text


def is_equation(left: str) -> bool:
    """Whether the left-hand side of a `=` has an unknown in a term, so that the right-hand side is not its value."""
    start = 0
    for clause in _NEXT_CLAUSE.finditer(left):
        start = clause.end()
    first = left[start:].partition("=")[0].strip(" $")
    return _NAME.fullmatch(first) is None and _TERM.search(first) is not None


def numbers_in(text: str) -> list[Value]:
    """All numbers, ratios and times of a short text that stand alone; one value if the whole text is one."""
    text = normalise(text[:_MAX_CHARS]).strip(_EDGE).rstrip(".")
    value = read_items(text)
    if value is not None:
        return list(value.items) if isinstance(value, Listing) else [value]
    return [value for _, _, value in _numbers(text)]


def _numbers(text: str) -> list[tuple[int, int, Value]]:
    """Numbers, ratios and times in reading order, with where they start and end."""
    found: list[tuple[int, int, Value]] = []
    position = 0
    colons = {match.start(): match for match in _TIME_IN_TEXT.finditer(text)}
    while match := NUMBER_IN_TEXT.search(text, position):
        colon = colons.get(match.start())
        if colon and (value := read_items(colon.group().strip())) is not None:
            found.append((match.start(), colon.end(), value))
            position = colon.end()
            continue
        unsigned = _without_operator(text, match)
        quantity = quantity_of(unsigned)
        if quantity is not None:
            found.append((unsigned.start(), unsigned.end(), quantity))
        position = match.end()
    return found


def _without_operator(text: str, match: re.Match[str]) -> re.Match[str]:
    """The match of a number, without a leading `-` or `+` that is an operator and no sign."""
    if not match["sign"] or _is_sign(text, match.start("sign"), match.end("sign")):
        return match
    start = match.end("sign")
    while text[start] == " ":
        start += 1
    return NUMBER_IN_TEXT.match(text, start) or match


def _is_sign(text: str, start: int, end: int) -> bool:
    """Whether a `-` is a sign and not an operator, a range or a hyphen: `= -3`, but not `5-3`, `5 - 3`, `Day-3`."""
    before = text[:start]
    stripped = before.rstrip()
    if not stripped or stripped[-1] in "=:(,[{$*/<>;":
        return True
    spaced_before, spaced_after = before != stripped, text[end - 1 : end] == " " or text[end : end + 1] == " "
    return bool(_WORD_BEFORE_SIGN.search(stripped)) and spaced_before and not spaced_after
