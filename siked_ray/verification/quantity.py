"""Reads a short answer as a number, a ratio or time, or a list of them, exactly (as fractions).

Nothing here guesses: a text that is not wholly one of these forms (with an optional currency, unit or
label) is None. Rules are documented in docs/verification.md.
"""

import re
from fractions import Fraction

from siked_ray.verification.atoms import ATOM, NUMBER, bare, exact, quantity_of
from siked_ray.verification.mathematics import VARIABLES
from siked_ray.verification.modifiers import NOT_A_UNIT, changes
from siked_ray.verification.normalise import normalise, without_right_edge
from siked_ray.verification.number_words import read_number_words
from siked_ray.verification.values import Colon, Listing, Quantity, Value, spell

_MAX_CHARS = 600

_UNIT_WORD = (
    rf"(?:-(?=[A-Za-z]{{2}})|/\s?|\^(?=(?:st|nd|rd|th)\b))?(?!{NOT_A_UNIT})(?:[A-Za-z']|\$(?!\s?-?\d))[\w.$'/^-]*"
)
#: Not a unit but a variable, the imaginary unit or a function: `3x`, `2n^2`, `5i`, `2m-1`, `6xy`, `1/x`, `2pi`; but
#: `5 m`, `3 g`, `5 a day`, `5 x-rays` have units.
_NO_VARIABLE = (
    r"(?!\s?(?:/\s?)?(?:(?-i:[a-fi-kn-rt-zXYZ])(?![A-Za-z.'$]|[-/][A-Za-z]{2}|/[hs]\b|\s[A-Za-z]{2})"
    rf"|[A-Za-z]\s?-\s?(?:\d|[A-Za-z](?![A-Za-z]))|(?-i:[CP])\d|(?-i:{VARIABLES})"
    r"|(?:pi|sqrt)(?![A-Za-z])|(?:sin|cos|tan|log|ln)\s?[\dx(_]))"
)
#: Not a note but a factor: `2(k+1)`, `5 (x - 3)`, `3(4)`; `12 (dozen)`, `12 (4*3)` and `12 (C)` have notes.
_NOTE = (
    r"(?:\s?\((?!(?:or|plus|minus|times)\b)(?=[^()\\]*[A-Za-z]{3})(?![^()]*(?:\\|sqrt|(?:sin|cos|tan|log)\b))[^()]{0,60}\)"
    r"|\s\((?!(?:or|plus|minus|times)\b)(?![^()]*\\)(?!(?=[^()]*[-+*/^])[^()=]*(?<![A-Za-z])[A-Za-z](?![A-Za-z'])[^()=]*\))[^()]{0,60}\))?"
)
_UNIT = rf"(?:{_NO_VARIABLE}\s?{_UNIT_WORD}(?:\s{_UNIT_WORD}){{0,4}})?{_NOTE}"
_LABEL = (
    rf"(?P<label>(?!(?-i:{VARIABLES}))[A-Za-z][\w' ]{{0,30}}\s?=\s?|[A-Za-z][A-Za-z' ]{{0,30}}\s?:\s?"
    r"|(?:about|approximately|around|roughly|exactly|only|~|=)\s?)?"
)
_ITEM = re.compile(rf"{_LABEL}{ATOM}{_UNIT}", re.IGNORECASE)
_COLON = re.compile(
    rf"({NUMBER})((?:\s?:\s?{NUMBER}){{1,3}})\s*(?:([ap])\.?\s?m\b\.?)?|({NUMBER}) to ({NUMBER})", re.IGNORECASE
)
_HOUR = re.compile(r"(\d{1,2})\s?([ap])\.?\s?m\b\.?", re.IGNORECASE)
_REPEATING = re.compile(r"(-?)(\d*)\.(\d{0,12})\\(?:overline|bar)\s?\{\s?(\d{1,12})\s?\}")
_PLAIN_INTEGER = re.compile(r"-?\d{1,300}")
_EDGE = " \t\r\n.,;:!?\"'*"
_LEADING_EDGE = _EDGE.replace(".", "")
_LEADING_DOTS = re.compile(r"^\.+(?![\d.])\s*")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
#: `12 500 km`: blanks between groups of three digits at the beginning of an answer.
_BLANKS_BETWEEN_GROUPS = re.compile(r"([-+]?\s?[$£€]?)([1-9]\d{0,2}(?: \d{3})+)(?=\.\d|[.,%]?(?:\s\D|$))")
_INTERVAL = re.compile(r"([(\[{])([^()\[\]{}]*)([)\]}])")
_BRACKET_PAIRS = frozenset({"()", "[]", "{}", "(]", "[)"})


def read_value(text: str) -> Value | None:
    """The value that the whole text states, or None when it states none or something else as well."""
    if _PLAIN_INTEGER.fullmatch(text):
        value = int(text)
        return Quantity(value=Fraction(value), text=str(value))
    if len(text) > _MAX_CHARS:
        return None
    text = without_edges(normalise(text))
    return read_items(text) or _read_words(_unwrapped(text))


def without_edges(text: str) -> str:
    """Normalised text without punctuation around it; the point of `.5` stays."""
    return _LEADING_DOTS.sub("", without_right_edge(text, _EDGE).lstrip(_LEADING_EDGE), count=1)


def read_items(text: str) -> Value | None:
    """Like `read_value`, for text that is normalised and stripped already; number words are not read."""
    if text.isdecimal() and text.isascii() and len(text) <= 300:
        return Quantity(value=Fraction(int(text)), text=text)
    if " " in text and (grouped := _BLANKS_BETWEEN_GROUPS.match(text)):
        text = grouped[1] + grouped[2].replace(" ", "") + text[grouped.end() :]
    return _read_bracketed(text) or _read_one(text := _unwrapped(text)) or _read_list(text) or _read_twice(text)


def has_form_of_number(text: str) -> bool:
    """Whether a text is written like one number, even one without a value (`1/0`) or too long to compute with."""
    return len(text) <= _MAX_CHARS and bool(_ITEM.fullmatch(_unwrapped(without_edges(normalise(text)))))


def _unwrapped(text: str) -> str:
    """Without brackets around the whole: `(3, 4)`, `-(1/3)`, `{5}`."""
    sign = "-" if text[:2] in ("-(", "-{") else ""
    inner = text[len(sign) :].strip()
    while inner and _BRACKETS.get(inner[0]) == inner[-1] and not any(char in inner[1:-1] for char in "()[]{}"):
        inner = inner[1:-1].strip()
    return sign + inner


def _read_bracketed(text: str) -> Listing | None:
    """`(3, 4)`, `[2,5)`, `{1, 2}`: in brackets a comma separates items, so `(1,200)` is a pair."""
    match = _INTERVAL.fullmatch(text) if text[:1] in _BRACKETS and "," in text else None
    if match is None or match[1] + match[3] not in _BRACKET_PAIRS:
        return None
    pieces = match[2].split(",")[: _MAX_ITEMS + 1]
    items = tuple(item for piece in pieces if (item := _read_one(piece.strip())) is not None)
    if not 1 < len(items) == len(pieces) <= _MAX_ITEMS:
        return None
    brackets = match[1] + match[3]
    return Listing(items=items, brackets=brackets, is_ordered=brackets != "{}")


def _read_one(text: str) -> Quantity | Colon | None:
    hour = _HOUR.fullmatch(text)
    if hour and int(hour[1]) <= 24:
        return Colon(parts=(Fraction(int(hour[1])),), written=(hour[1],), meridiem=hour[2].lower())
    match = _ITEM.fullmatch(text)
    if match:
        return None if match["label"] and changes(match["label"].rstrip(" =:")) else quantity_of(match)
    match = _COLON.fullmatch(text)
    if match:
        return colon_of(match)
    repeating = _REPEATING.fullmatch(text) if "\\" in text else None
    return _repeating_decimal(repeating) if repeating else None


def _repeating_decimal(match: re.Match[str]) -> Quantity:
    """`0.1\\overline{6}` is 1/6."""
    sign, whole, fixed, period = match.groups()
    start = Fraction(int(whole + fixed or "0"), 10 ** len(fixed))
    value = start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
    return Quantity(value=-value if sign else value, decimals=None, is_fraction=True, text=match.group())


def colon_of(match: re.Match[str]) -> Colon | None:
    """The ratio or time of a match of `a:b`, `a:b:c` (with a.m. or p.m.) or `a to b`."""
    if match[4]:
        written: tuple[str, ...] = (match[4], match[5])
    else:
        written = (match[1], *(part.strip() for part in match[2].split(":")[1:]))
    try:
        parts = tuple(exact(part) for part in written)
    except (ValueError, OverflowError):
        return None
    return Colon(parts=parts, written=tuple(bare(part) for part in written), meridiem=(match[3] or "").lower())


_SEMICOLONS = re.compile(r"\s*;\s*(?:and\s+)?", re.IGNORECASE)
_COMMAS = re.compile(r"\s*,\s+(?:and\s+)?|\s+(?:and|&)\s+|,(?=-?\d)|,(?=[a-z]\s?=)", re.IGNORECASE)
_OR = re.compile(r"\s+or\s+(?=[a-z]\s?=)", re.IGNORECASE)
#: Numbers alone, or values of one variable: `1, -2`, `x = 1 and x = -2`; not `x = 1, y = 2` or `3 boys and 4 girls`.
_BARE_LIST = re.compile(r"(?:\b([a-z]) ?=)?(?:[^A-Za-z;:=]|\band\b|\b\1 ?=)*", re.IGNORECASE)
_MAX_ITEMS = 20


def _read_list(text: str) -> Listing | None:
    """`a; b`, or `a, b`, `a and b` where every item is a number by itself."""
    text = _OR.sub(", ", text)
    pieces = _SEMICOLONS.split(text) if ";" in text else _COMMAS.split(text)
    if not 1 < len(pieces) <= _MAX_ITEMS:
        return None
    items = tuple(_read_one(piece.strip()) for piece in pieces if piece)
    if not items or None in items:
        return None
    return Listing(items=items, is_ordered=not _BARE_LIST.fullmatch(text))  # type: ignore[arg-type]


def _read_twice(text: str) -> Quantity | None:
    """`1/4 or 25%`: one number in two spellings."""
    pieces = text.split(" or ")
    if len(pieces) != 2:
        return None
    first, second = (_read_one(piece.strip(" ,")) for piece in pieces)
    if not isinstance(first, Quantity) or not isinstance(second, Quantity):
        return None
    scales = [
        100 if item.is_percent or "cent" in piece else 1 for item, piece in zip((first, second), pieces, strict=True)
    ]
    return first if first.value * scales[1] == second.value * scales[0] else None


def _read_words(text: str) -> Quantity | None:
    value = read_number_words(text)
    if value is None:
        return None
    decimals = None if value.denominator > 1 else 0
    return Quantity(value=value, decimals=decimals, is_fraction=value.denominator > 1, text=spell(value))
