"""Reads the letter of a multiple-choice answer out of a completion, for golds that are one."""

import re
from collections.abc import Iterable

from siked_ray.verification.normalise import normalise

#: A capital letter by itself; not the article or the pronoun that begins a sentence.
_LETTER = (
    r"(?<![A-Za-z'])(?:([B-HJ])(?![\w'+*/^=])|([AI])(?![\w'+*/^=]|\s+(?!because|since|as|with|which|and\b|or\b)[a-z]))"
)
_LABEL = (
    r"(?:(?:the|so|thus|therefore|hence|is|correct|right|best|final|option|choice|answer|letter|would be)\b"
    r"[\s:,]*){0,6}"
)
_FIRST = re.compile(rf"[\s\"'(\[{{:]*{_LABEL}[\s\"'(\[{{:]*{_LETTER}")
_ALONE = re.compile(r"[\s\"'(]*(?:option )?([a-j])(?:\)|[.:](?= |$)|$)", re.IGNORECASE)
_BRACKETED = re.compile(r"(?<!\b[A-Za-z])\(([A-J])\)")
_NAMED = re.compile(rf"\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer is|[Aa]nswer:)[\s\"'($]*{_LETTER}")
_STATED = re.compile(r"\b(?:answer|option|choice)\b[^.\n:]{0,30}?(?:\bis\b|:)|^[ \t]*A:", re.IGNORECASE | re.MULTILINE)
_CONFIRMED = re.compile(r"\b[Oo]ption\s*\W?([A-J])\b\)?\W*is\s+(?:the\s+)?(?:correct|right|best|answer)")
_LAST_LINE = re.compile(rf"[\s\"'(\[]*(?:[Oo]ption|[Cc]hoice|[Aa]nswer)?[\s\"'(\[:]*{_LETTER}(?:\)|[\s.\"'\]]*$)")
_LONE = re.compile(rf"(?<![A-Za-z]\(){_LETTER}")
_DENIAL = re.compile(r"\b(?:not|incorrect|wrong|neither|except)\b|n't\b")
_MAX_CHARS = 300


def choice_in(text: str) -> str:
    """The letter that a statement such as `C`, `(C) 20`, `10 (C)` or `option C, none of these` names, else empty."""
    text = normalise(text[:_MAX_CHARS]).strip(" ,;:*\"'")
    match = _ALONE.match(text) or _FIRST.match(text)
    if match is None:
        found = _BRACKETED.findall(text)
        return found[-1] if found else _letter(_NAMED.search(text)) or _only_letter(text)
    return _letter(match)


def _only_letter(text: str) -> str:
    """The one letter that a statement such as `closest to D, 35%` names."""
    letters = {_letter(match) for match in _LONE.finditer(text)}
    return letters.pop() if len(letters) == 1 and not _DENIAL.search(text) else ""


def choice_without_marker(text: str) -> str:
    """The letter after the last phrase such as `the correct option is`, or the one that the last line consists of."""
    for phrase in reversed(list(_STATED.finditer(text))[-8:]):
        after = text[phrase.end() :].lstrip(" *\n:").partition("\n")[0]
        if letter := _letter(
            _ALONE.match(normalise(after[:_MAX_CHARS])) or _FIRST.match(normalise(after[:_MAX_CHARS]))
        ):
            return letter
    if confirmed := _CONFIRMED.findall(text):
        return str(confirmed[-1])
    last = normalise(text.rstrip().rpartition("\n")[2][-_MAX_CHARS:])
    found = _BRACKETED.findall(last)
    named = "" if _DENIAL.search(last) else _letter(_NAMED.search(last))
    return _letter(_LAST_LINE.match(last)) or (found[-1] if found else named)


def last_choice(statements: Iterable[str]) -> str:
    """The letter of the last statement that names one."""
    letters = [letter for statement in statements if (letter := choice_in(statement))]
    return letters[-1] if letters else ""


def _letter(match: re.Match[str] | None) -> str:
    return next(group for group in match.groups() if group).upper() if match else ""
