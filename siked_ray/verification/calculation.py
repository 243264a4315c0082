"""The value of plain arithmetic: numbers and + - * / ( ), or operators, `add(2, 3) | divide(#0, 4)`.

Exact, in this process, and nothing else: what holds a name, a unit, a power or a percent sign is not evaluated.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(rf"\s*(?:({_NUMBER})(?![\d.,]*\.\d)|([-+*/()]))")
_SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})
_TIMES = re.compile(r"(?<=[\d)\s])[xX](?=[\s\d(.])")
#: `X = …`: the unknown that an equation is solved for.
_UNKNOWN = re.compile(r"\s*[A-Za-z]\s*=(?!=)")
_CALL = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")
_SIGNED = re.compile(rf"\s*(-?)(?:#(\d{{1,3}})|({_NUMBER}))\s*")
_OPERATORS: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": Fraction.__add__,
    "subtract": Fraction.__sub__,
    "multiply": Fraction.__mul__,
    "divide": Fraction.__truediv__,
}
_SIGNS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_STRENGTHS = ("+-", "*/")
#: No annotation is longer; numbers of more digits are not computed with.
_MAX_CHARS, _MAX_DIGITS = 2000, 30


class NoCalculation(ValueError):
    """A text cannot be checked by arithmetic; the message says why."""


def value_of(text: str) -> Fraction:
    """What the last line comes to: its left side where it is an equation, its last operator where it has operators.

    A line `48 / 2 = 24` says what it comes to; `X = 48 / 2` and `48 / 2` do not. Raises `NoCalculation`.
    """
    if len(text) > _MAX_CHARS:
        raise NoCalculation(f"{len(text)} characters")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise NoCalculation("nothing is written")
    last = lines[-1].translate(_SPELLINGS)
    try:
        if _CALL.match(last):
            return _of_operators(last)
        unknown = _UNKNOWN.match(last)
        return _of_expression(last[unknown.end() if unknown else 0 :].split("=")[0])
    except ZeroDivisionError:
        raise NoCalculation("a division by 0") from None
    except RecursionError:
        raise NoCalculation("too many brackets") from None


def shown(value: Fraction) -> str:
    """As digits where they come to an end, else as a fraction: `72`, `2.5`, `1/3`."""
    if value.denominator == 1:
        return str(value.numerator)
    if 10**_MAX_DIGITS % value.denominator:
        return f"{value.numerator}/{value.denominator}"
    with localcontext(prec=_MAX_CHARS):
        return f"{Decimal(value.numerator) / value.denominator:f}"


def _of_expression(text: str) -> Fraction:
    tokens = list(_tokens(_TIMES.sub("*", text)))
    if not tokens:
        raise NoCalculation("nothing is computed")
    value = _sum(tokens, 0)
    if tokens:
        raise NoCalculation(f"it goes on with {tokens[0]!r}")
    return value


def _tokens(text: str) -> Iterator[str]:
    place, text = 0, text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise NoCalculation(f"{text[place:].strip()[:20]!r} is more than numbers and + - * / ( )")
        yield match.group(1) or match.group(2)
        place = match.end()


def _sum(tokens: list[str], level: int) -> Fraction:
    """Take the operands of one level of signs, and those of stronger ones in them, off the front of `tokens`."""
    if level == len(_STRENGTHS):
        return _operand(tokens)
    value = _sum(tokens, level + 1)
    while tokens and tokens[0] in _STRENGTHS[level]:
        sign = tokens.pop(0)
        value = _OPERATORS[_SIGNS[sign]](value, _sum(tokens, level + 1))
    return value


def _operand(tokens: list[str]) -> Fraction:
    first = tokens.pop(0) if tokens else ""
    if first == "-":
        return -_operand(tokens)
    if first == "(":
        value = _sum(tokens, 0)
        if not tokens or tokens.pop(0) != ")":
            raise NoCalculation("a bracket is not closed")
        return value
    if not first or first in "+*/)":
        raise NoCalculation("a number is missing")
    return _number(first)


def _number(digits: str) -> Fraction:
    if len(digits) > _MAX_DIGITS:
        raise NoCalculation("too long a number")
    return Fraction(digits.replace(",", ""))


def _of_operators(text: str) -> Fraction:
    results: list[Fraction] = []
    for part in text.strip().strip("|").split("|"):
        call = _CALL.fullmatch(part)
        if call is None or call.group(1) not in _OPERATORS:
            raise NoCalculation(f"{part.strip()[:30]!r} is none of {', '.join(_OPERATORS)}")
        operands = [_result(one, results) for one in call.group(2).split(",")]
        if len(operands) != 2:
            raise NoCalculation(f"{call.group(1)} has two operands")
        results.append(_OPERATORS[call.group(1)](*operands))
    return results[-1]


def _result(text: str, results: list[Fraction]) -> Fraction:
    """A number, or `#0` for the first result."""
    match = _SIGNED.fullmatch(text)
    if match is None:
        raise NoCalculation(f"{text.strip()[:20]!r} is no number")
    sign, place, digits = match.groups()
    if place is not None and int(place) >= len(results):
        raise NoCalculation(f"#{place} is no earlier result")
    value = results[int(place)] if place is not None else _number(digits)
    return -value if sign else value
