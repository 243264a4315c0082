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
_DENIAL = re.compile(
    r"\b(?:not|incorrect|wrong|neither|nor|except|excluding|never|but|either|both|between|false|no|unlike"
    r"|rather than|instead of"
    r"|or \(?[A-J]\b|and \(?[A-J]\b)\b|n't\b"
)
#: What makes the letter before it one of several, or none: `A or B`, `A, B`, `B is incorrect`.
_CHANGED_AFTER = re.compile(
    r"[).\]\s\"'*$]*(?:(?:,|/|&|\bor\b|\band\b|\bnor\b|\bto\b|-)\s*(?:option\s*)?\(?[A-J](?![\w'])(?!\)?\s*(?:is|was|has))"
    r"|(?:is|was|are|seems|would be|can(?:not|'t)|does|doesn't|isn't)?\s*(?:n't|not|incorrect|wrong|false"
    r"|impossible|ruled|out\b)"
    r"|\?)",
    re.IGNORECASE,
)
_MAX_CHARS = 300


def choice_in(text: str) -> str:
    """The letter that a statement such as `C`, `(C) 20`, `10 (C)` or `option C, none of these` names, else empty."""
    text = normalise(text[:_MAX_CHARS]).strip(" ,;:*\"'")
    if match := _leading(text):
        return "" if _CHANGED_AFTER.match(text, match.end()) else _letter(match)
    return "" if _DENIAL.search(text) else _only_letter(text)


def _leading(text: str) -> re.Match[str] | None:
    """The letter that a normalised text begins with."""
    return _ALONE.match(text) or _FIRST.match(text)


def _only_letter(text: str) -> str:
    """The one letter that a statement such as `10 (C)`, or `closest to D, 35%`, names."""
    for pattern in (_BRACKETED, _NAMED, _LONE):
        letters = {_letter(match) for match in pattern.finditer(text)}
        if letters:
            return letters.pop() if len(letters) == 1 else ""
    return ""


def choice_without_marker(text: str) -> str:
    """The letter after the last phrase such as `the correct option is`, or the one that the last line consists of."""
    for phrase in reversed(list(_STATED.finditer(text))[-8:]):
        after = normalise(text[phrase.end() :].lstrip(" *\n:").partition("\n")[0][:_MAX_CHARS])
        if match := _leading(after):
            return "" if _CHANGED_AFTER.match(after, match.end()) else _letter(match)
    confirmed = _CONFIRMED.findall(text)
    if confirmed:
        return str(confirmed[-1])
    last = normalise(text.rstrip().rpartition("\n")[2][-_MAX_CHARS:])
    if match := _LAST_LINE.match(last):
        return _letter(match)
    return "" if _DENIAL.search(last) else _only_letter(last) if _BRACKETED.search(last) or _NAMED.search(last) else ""


def last_choice(statements: Iterable[str]) -> str:
    """The letter of the last statement that names one."""
    letters = [letter for statement in statements if (letter := choice_in(statement))]
    return letters[-1] if letters else ""


def _letter(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).upper()
