"""Plain arithmetic as people write it in a sentence: `12 pieces * 2/3`, `$55 + 3 * $18`, `20% of 50`.

Values are exact: `int` where they are whole, else `Fraction`. What is no plain arithmetic has no value.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

Number = int | Fraction

DIGITS = r"(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_TOKEN = re.compile(
    rf"(?<![\d./^])(?:(\d+) )?(\d+)/(\d+)(?![\d./])|({DIGITS})[ \t]?(%|percent\b)?"
    r"|(\*\*|[-+*/^()]|(?<![A-Za-z])[xX](?![A-Za-z])|\b(?:times|plus|minus|of)\b|\b(?:divided|multiplied) by\b)"
)
#: The second line: what is more than numbers and the four signs.
_FLAT_TOKEN = re.compile(
    r"\d+(?:\.\d+)?|[-+*/]|(?<![A-Za-z])[xX](?![A-Za-z])"
    r"|[.,%()^]|\b(?:percent|times|plus|minus|of|divided by|multiplied by)\b"
)
_FLAT_SIGNS = frozenset("+-*/xX")
_SPELLINGS = {"**": "^", "x": "*", "X": "*", "times": "*", "multiplied by": "*", "divided by": "/"}
_SPELLINGS |= {"plus": "+", "minus": "-"}
#: Binary signs by how strongly they bind; `of` and products beside each other go from left to right.
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "of": 2, "^": 4}
_SIGN_STRENGTH = 3
#: Longer numbers are not computed with.
MAX_DIGITS = 30
_MAX_EXPONENT, _MAX_TOKENS = 32, 60


class Side(NamedTuple):
    """What one side of an equation comes to.

    `value` takes `20%` as 0.2, `in_percent` as 20. `first` is its first number, from which a running sum goes on
    (`5 * 8 = 40 + 10 = 50`). `is_step`: something is computed in it. `decimals`: the digits after its point where it is
    one number, else None.
    """

    value: Number
    in_percent: Number
    first: Number
    is_step: bool
    decimals: int | None
    has_percent: bool = False


class _NoArithmetic(ValueError):
    """The text is no plain arithmetic."""


def side_of(text: str) -> Side | None:
    """The value of an expression with units (`3 boxes * 4`); None where it is no plain arithmetic."""
    try:
        return _flat_side(text) or _nested_side(text)
    except (_NoArithmetic, ArithmeticError, IndexError):
        return None


def _flat_side(text: str) -> Side | None:
    """The same for numbers and the four signs alone, in one pass, because most sides are no more than that."""
    total: Number = 0
    term: Number = 0
    first: Number | None = None
    sign, num_tokens = "+", 0
    for token in _FLAT_TOKEN.findall(text):
        num_tokens += 1
        if not num_tokens % 2:
            if token not in _FLAT_SIGNS or (token == sign == "/"):
                return None
            sign = token
            continue
        if not token[0].isdigit():
            return None
        value = int(token) if token.isdigit() and len(token) <= MAX_DIGITS else exact(token)
        if first is None:
            first = value
        if sign == "+":
            total, term = total + term, value
        elif sign == "-":
            total, term = total + term, -value
        else:
            term = ratio(term, value) if sign == "/" else term * value
    if first is None or not num_tokens % 2:
        return None
    is_step = num_tokens > 1
    value = total + term
    return Side(value, value, first, is_step, None if is_step else len(token.partition(".")[2]))


def _nested_side(text: str) -> Side:
    tokens, first, decimals, has_percent = _tokens(text)
    value = _Reader(tokens, percent=100).read()
    in_percent = _Reader(tokens, percent=1).read() if has_percent else value
    is_one = len(tokens) == 1
    is_step = "/" in text if is_one else any(isinstance(token, str) and token in _STRENGTH for token in tokens[1:])
    return Side(value, in_percent, first, is_step, decimals if is_one else None, has_percent)


@dataclass(frozen=True, slots=True)
class _Percent:
    """A number with a percent sign; `is_share`: it can only be hundredths (`20% of 50`)."""

    number: Number
    is_share: bool


_Token = str | int | Fraction | _Percent


def _tokens(text: str) -> tuple[list[_Token], Number, int | None, bool]:
    tokens: list[_Token] = []
    first: Number | None = None
    decimals: int | None = None
    has_percent = False
    for match in _TOKEN.finditer(text):
        whole, top, bottom, digits, percent, sign = match.groups()
        if sign:
            sign = _SPELLINGS.get(sign, sign)
            if sign == "(" and tokens and (tokens[-1] == ")" or not isinstance(tokens[-1], str)):
                tokens.append("*")  # 2(3 + 4)
            if sign == "of" and not _is_part(tokens):
                raise _NoArithmetic  # `4 bags of 3 apples` may be anything
            tokens.append(sign)
            continue
        number: Number = exact(digits) if digits else int(whole or 0) + ratio(int(top), int(bottom))
        if first is None:
            first, decimals = number, len(digits.partition(".")[2]) if digits else None
        has_percent = has_percent or bool(percent)
        tokens.append(_Percent(number, _is_share(text, match, tokens, number)) if percent else number)
    if first is None or len(tokens) > _MAX_TOKENS:
        raise _NoArithmetic
    if tokens[0] == "-":
        first = -first
    return _balanced(tokens), first, decimals, has_percent


def _is_part(tokens: list[_Token]) -> bool:
    """Whether the tokens end in what one can take of something: `20%`, `2/3`, `0.2`."""
    last = tokens[-1] if tokens else ""
    return isinstance(last, _Percent | Fraction) or "/" in tokens[-2:-1]


def _is_share(text: str, match: re.Match[str], tokens: list[_Token], number: Number) -> bool:
    """`20% of 50`, `50 * 20%`: in a product only 100% may be a unit (`3 / 12 * 100% = 25%`)."""
    in_product = bool(tokens and tokens[-1] in ("*", "of")) or text[match.end() :].lstrip()[:2] in ("of", "* ", "x ")
    return in_product and number != 100


def _balanced(tokens: list[_Token]) -> list[_Token]:
    """Without brackets that stand alone: those of a remark around the equation, as in `3 years (16 - 13 = 3)`."""
    if "(" not in tokens and ")" not in tokens:
        return tokens
    alone: set[int] = set()
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token == "(":
            opened.append(index)
        elif token == ")":
            if opened:
                opened.pop()
            else:
                alone.add(index)
    alone.update(opened)
    return [token for index, token in enumerate(tokens) if index not in alone]


class _Reader:
    """Precedence climbing over tokens; every token is read once."""

    def __init__(self, tokens: list[_Token], *, percent: int) -> None:
        self._tokens, self._position, self._percent = tokens, 0, percent

    def read(self) -> Number:
        value = self._expression(0)
        if self._position != len(self._tokens):
            raise _NoArithmetic
        return value

    def _expression(self, strength: int) -> Number:
        left = self._operand()
        while self._position < len(self._tokens):
            sign = self._tokens[self._position]
            binds = _STRENGTH.get(sign, 0) if isinstance(sign, str) else 0
            if binds <= strength:
                break
            self._position += 1
            left = ARITHMETIC[sign](left, self._expression(binds - (sign == "^")))  # type: ignore[index]
        return left

    def _operand(self) -> Number:
        token = self._tokens[self._position]
        self._position += 1
        if isinstance(token, _Percent):
            return ratio(token.number, 100 if token.is_share else self._percent)
        if not isinstance(token, str):
            return token
        if token in "+-":
            value = self._expression(_SIGN_STRENGTH)
            return -value if token == "-" else value
        if token != "(":
            raise _NoArithmetic
        value = self._expression(0)
        if self._tokens[self._position] != ")":
            raise _NoArithmetic
        self._position += 1
        return value


def exact(digits: str) -> Number:
    """The value of digits with separators and a point. Raises ArithmeticError beyond a few dozen digits."""
    if len(digits) > MAX_DIGITS:
        raise OverflowError("too many digits")
    whole, _, decimals = digits.replace(",", "").replace(" ", "").partition(".")
    return ratio(int(whole + decimals), 10 ** len(decimals)) if decimals else int(whole)


def ratio(top: Number, bottom: Number) -> Number:
    """The exact quotient, whole where it is."""
    if type(top) is int and type(bottom) is int and bottom and top % bottom == 0:
        return top // bottom
    value = Fraction(top) / bottom
    return value.numerator if value.denominator == 1 else value


def _power(base: Number, exponent: Number) -> Number:
    if not isinstance(exponent, int) or abs(exponent) > _MAX_EXPONENT or not -(10**6) <= base <= 10**6:
        raise OverflowError("too large a power")
    return base**exponent if exponent >= 0 else ratio(1, base**-exponent)


ARITHMETIC: Mapping[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "of": operator.mul,
    "/": ratio,
    "^": _power,
}
