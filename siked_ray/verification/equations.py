"""Finds the equations of plain arithmetic that a text states, and tells whether they are true.

`3 + 4 = 7`, `$12 * 5 = $60`, `12 x 3 = 36 apples`, `20% of 50 is 10`, `7 + 2 = 9 - 1 = 8`. An equation with an unknown,
or with anything else that is no plain arithmetic, states nothing that could be checked.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from siked_ray.verification.arithmetic import ARITHMETIC, DIGITS, Number, Side, side_of
from siked_ray.verification.units import mixes_units

_NEXT_NUMBER = r"[ \t]+(?:the |all |these |those |her |his |their )?[-$£€(]?[.\d]"
_RELATION_WORD = r"(?:is equal to|is|are|equals|which is|makes|gives)"
_WORD = (
    rf"(?:a\b|(?!(?:times|plus|minus|of|divided by|multiplied by){_NEXT_NUMBER}|{_RELATION_WORD}\b)"
    r"[A-Za-z][A-Za-z'-]*[A-Za-z]\b)"
)
_UNIT = (
    rf"(?:[ \t]?(?:%|percent\b))?(?:-?{_WORD})?(?:[ \t]?/[ \t]?{_WORD}|[ \t]{_WORD}){{0,5}}+"
    r"(?:[ \t]?\([A-Za-z][^()=\d]{0,40}\))?"
)
_NUMBER = rf"(?:[-+](?=[$£€.\d]))?(?:[$£€][ \t]?)?(?:\d+ \d+/\d+|{DIGITS})"
_TERM = rf"(?:[-+]?\([ \t]?)*+{_NUMBER}{_UNIT}(?:[ \t]?\)%?)*+"
_OPERATOR = (
    r"(?:[ \t]*(?:\*\*|[-+*/^])[ \t]*|[ \t]*[xX](?=[ \t]*[\d(.$£€])[ \t]*|(?<=[\d)])(?=\([\d$.(])"
    rf"|[ \t]+(?:times|plus|minus|of|divided by|multiplied by)(?={_NEXT_NUMBER})[ \t]+(?:[a-z]+ )?)"
)
_EXPRESSION = rf"{_TERM}(?:{_OPERATOR}{_TERM})*+"
_RELATION = rf"(?:[ \t]*(?:==?(?!>)|≈)[ \t]*|[ \t]+{_RELATION_WORD}[ \t]+)"
_CHAIN = re.compile(rf"(?<![\w.,:/$£€^])(?=[-+$£€.\d(]){_EXPRESSION}(?:{_RELATION}{_EXPRESSION})++")
#: What most equations look like.
_SIMPLE = re.compile(
    r"\(?\$?(\d{1,9})(?: [A-Za-z]+)* ([-+*/x]) \$?([1-9]\d{0,8})(?: [A-Za-z]+)*"
    r" = \$?(\d{1,9})(?: (?!of\b)[A-Za-z]+)*\)?"
)
_SIDES = re.compile(rf"({_RELATION})")
#: What stands beside a number and makes it part of something else: `x + 3 =`, `2(3 + 1`, `= 5x`, `= 7:30`, `= 5 * y`.
_GOES_ON_BEFORE = re.compile(
    r"(?:[A-Za-z\d)\]%][ \t]*[-+*/^]|[+*/^]|(?<![A-Za-z])[xX]|[\w)]\("
    r"|\b(?:twice|half|half of|double|triple|than|third of|quarter of|square of)(?: the)?)[ \t]*$"
)
_GOES_ON_AFTER = re.compile(
    r"[A-Za-z]|:\d|[ \t]*[*^(/\\]|[ \t]*\+[ \t]*\S|[ \t]*-[ \t]*(?:[A-Za-z](?![A-Za-z])|\()"
    r"|[ \t]+(?:[xX]\b|remainder|R\b)"
)
_BEFORE_CHARS = 24
_OTHER_SCALE = re.compile(r"\b(?:hundred|thousand|million|billion|trillion|dozen|remainder)s?\b", re.IGNORECASE)
_FIRST_SUM = re.compile(r"(?:[ \t][-+]|\b(?:plus|minus)\b)[ \t]*")
_SUM_IN_WORDS = re.compile(r" (?:plus|minus) ")
_PERCENT_MORE = re.compile(r"[-+][ \t]*[\d.]+[ \t]?%")
_SPEAKS_OF_REST = re.compile(r"\b(?:left|remain|rest\b|extra|full|whole|entire|even)")
_MIN_CUT_DECIMALS = 2


class Equation(NamedTuple):
    """One statement that two sides are equal. `results` are the numbers that its right-hand side can stand for; its
    chain starts and ends at these places of the text."""

    start: int
    end: int
    is_true: bool
    results: tuple[Number, ...]


class _Pair(NamedTuple):
    """Two neighbours of a chain. `is_true` is None where unequal sides need not be a false statement; `is_whole_part`:
    the right one is the left one without its fraction (`29 / 3 = 9`)."""

    is_true: bool | None
    results: tuple[Number, ...]
    is_first: bool = True
    is_last: bool = True
    is_whole_part: bool = False


def equations_in(text: str) -> list[Equation]:
    """The equations of a text in plain signs, in their order; a chain `a = b = c` gives two."""
    found: list[Equation] = []
    for match in _CHAIN.finditer(text):
        start, end = match.span()
        for pair in _pairs(match.group()):
            if pair.is_true or (pair.is_true is False and not _has_more(text, start, end, pair)):
                is_true = pair.is_true or (pair.is_whole_part and bool(_SPEAKS_OF_REST.search(text, start)))
                found.append(Equation(start, end, is_true, pair.results))
    return found


def _has_more(text: str, start: int, end: int, pair: _Pair) -> bool:
    """Whether what stands beside a chain belongs to the outermost side of this pair."""
    before = max(0, start - _BEFORE_CHARS)
    return bool(
        (pair.is_first and _GOES_ON_BEFORE.search(text, before, start))
        or (pair.is_last and _GOES_ON_AFTER.match(text, end))
    )


@lru_cache(maxsize=16384)
def _pairs(chain: str) -> tuple[_Pair, ...]:
    """The neighbours in a chain; kept, because the samples of one problem state the same equations."""
    simple = _SIMPLE.fullmatch(chain)
    if simple is not None:
        left, sign, right, result = simple.groups()
        if ARITHMETIC[sign](int(left), int(right)) == (value := int(result)):
            return (_Pair(True, (value,)),)
    parts = _SIDES.split(chain)
    sides = [side_of(part) for part in parts[::2]]
    pairs: list[_Pair] = []
    for index in range(1, len(sides)):
        left, right = sides[index - 1], sides[index]
        if left is not None and right is not None and (left.is_step or right.is_step or index > 1):
            pair = _Pair(
                _truth(left, right, parts, index),
                (right.value, right.in_percent),
                is_first=index == 1,
                is_last=index == len(sides) - 1,
                is_whole_part="/" in parts[2 * index - 2] and _is_whole_part(left, right),
            )
            pairs.append(pair)
    return tuple(pairs)


def _is_whole_part(left: Side, right: Side) -> bool:
    return type(right.value) is int and 0 < left.value - right.value < 1


def _truth(left: Side, right: Side, parts: list[str], index: int) -> bool | None:
    """Whether two neighbours of a chain are equal; None where unequal sides need not be a false statement."""
    if left.value == right.value:
        return True
    left_text, relation, right_text = parts[2 * index - 2 : 2 * index + 1]
    if _OTHER_SCALE.search(left_text) or _OTHER_SCALE.search(right_text):
        return None
    goes_on = 2 * index + 1 < len(parts) or bool(_SUM_IN_WORDS.search(right_text))
    if _is_true(left, right, goes_on=goes_on):
        return True
    rest = _rest(left_text, is_middle=index > 1)
    if rest is not None and _is_true(rest, right, goes_on=goes_on):
        return True
    if not left.is_step or (relation.strip()[0] not in "=≈" and right.is_step):
        return None  # `10 ladders with 50 rungs = 10 * 50`, `the price of 3 * 4 pens is 12 * 2`
    if " of " in right_text or _PERCENT_MORE.search(left_text):
        return None  # `= 10% of $100`; `$700 + 50%`, which means 50% of the 700
    if index == 1 and "/" in left_text and -1 < left.value < 1 <= right.value and _is_fraction(left_text):
        return None  # 3/4 = 45 minutes
    return None if mixes_units(f"{left_text} {right_text}") else False


def _rest(left_text: str, *, is_middle: bool) -> Side | None:
    """The part of a side to which an equation may refer alone: `10% of 122 - 100 = 22`, and in a chain that goes on
    with its next step, `7 * 3 = 21 + 5 * 4 = 20`, what comes after the first sign."""
    if " of " in left_text:
        return side_of(left_text.rpartition(" of ")[2])
    sign = _FIRST_SUM.search(left_text) if is_middle else None
    return side_of(left_text[sign.end() :]) if sign else None


def _is_fraction(text: str) -> bool:
    return sum(char in "+*/-" for char in text) == 1


def _is_true(left: Side, right: Side, *, goes_on: bool) -> bool:
    """Exactly, or to the rounding that is written. `goes_on`: the right side may be continued, `= 40 + 10 = 50`."""
    if left.value == right.value or (goes_on and left.value == right.first):
        return True
    readings = [(left.value, right.value)]
    if left.has_percent or right.has_percent:
        readings += [(left.in_percent, right.in_percent), (left.value, right.in_percent)]
    return any(a == b or is_rounded(a, b, right.decimals) for a, b in readings)


def is_rounded(exact: Number, written: Number, decimals: int | None) -> bool:
    """Whether `written`, with so many digits after its point, is `exact` rounded (half of an integer up), or cut off
    after at least two digits."""
    if decimals is None or type(exact) is int:
        return False
    error, unit = abs(Fraction(exact)) - abs(Fraction(written)), Fraction(1, 10**decimals)
    if exact * written < 0 or abs(error) > unit:
        return False
    if decimals >= _MIN_CUT_DECIMALS and 0 <= error < unit:
        return True
    return abs(error) <= unit / 2 and (decimals > 0 or error < unit / 2)
