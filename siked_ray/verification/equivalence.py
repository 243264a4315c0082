"""Whether two answers are the same, in layers: exact text, exact numbers and stated tolerances, then sympy.

The first two layers decide nearly everything and touch no heavy library. Equivalence is symmetric, and not
transitive (`50%` equals 50 and 0.5).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from siked_ray.verification.mathematics import is_mathematics
from siked_ray.verification.normalise import normalise, typeset_key, without_right_edge
from siked_ray.verification.quantity import has_form_of_number, read_value
from siked_ray.verification.values import Colon, Listing, Quantity, Value

if TYPE_CHECKING:
    from siked_ray.verification.sandbox.client import SandboxPool

#: Floats of the same number differ by rounding: relative to the larger one, or absolute where one of them is 0.
FLOAT_TOLERANCE = Fraction(1, 10**9)
#: A decimal with at least this many digits after the point may be the other number, rounded.
MIN_ROUNDED_DECIMALS = 2
_MAX_SYMBOLIC_CHARS = 300
_CHOICE_GOLD = re.compile(r"([A-J])[.):]?|\(([A-J])\)", re.IGNORECASE)
_OPTION_LETTER = re.compile(r"[A-J]")
_OPENING, _CLOSING = " \"'`*", " \"'`*.,!?;:"


class Layer(StrEnum):
    """Which layer decided."""

    EXACT = "exact"
    NUMERIC = "numeric"
    SYMBOLIC = "symbolic"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outcome of comparing; `timed_out` and `error` are the symbolic layer's, and mean not equal."""

    equal: bool
    layer: Layer
    timed_out: bool = False
    error: str = ""


def equivalent(predicted: str, gold: str, *, sandbox: "SandboxPool | None" = None, timeout_s: float = 5.0) -> bool:
    """Whether two answers are the same.

    Without a `sandbox` one is started, and closed, for this call if the symbolic layer is needed (about a
    second): for more than one call use `Verifier`, or give a pool.
    """
    comparison = compare_without_symbols(predicted, gold)
    if comparison is not None:
        return comparison.equal
    from siked_ray.verification.sandbox.client import SandboxPool

    if sandbox is not None:
        return compare_symbolically(predicted, gold, sandbox, timeout_s).equal
    with SandboxPool(algebra=True) as own:
        return compare_symbolically(predicted, gold, own, timeout_s).equal


def compare_without_symbols(predicted: str, gold: str) -> Comparison | None:
    """The cheap layers' decision, or None when only symbolic mathematics can tell."""
    if predicted == gold or fold(predicted) == fold(gold) != "":
        return Comparison(equal=bool(predicted.strip()), layer=Layer.EXACT)
    if _is_same_typesetting(predicted, gold):
        return Comparison(equal=True, layer=Layer.EXACT)
    left, right = read_value(predicted), read_value(gold)
    if left is not None and right is not None:
        return Comparison(equal=same_value(left, right), layer=Layer.NUMERIC)
    if (left is None) != (right is None) and _OPTION_LETTER.fullmatch(predicted if left is None else gold):
        return Comparison(equal=False, layer=Layer.EXACT)  # an option's letter is no number
    if (
        is_symbolic(predicted, left)
        and is_symbolic(gold, right)
        and max(len(predicted), len(gold)) <= _MAX_SYMBOLIC_CHARS
    ):
        return None
    return Comparison(equal=False, layer=Layer.EXACT)


def _is_same_typesetting(predicted: str, gold: str) -> bool:
    """Whether two texts, one of them typeset (`\\text{even}`, `$B$`), are the same apart from that."""
    if not any(sign in text for text in (predicted, gold) for sign in "\\$_{") or len(predicted) + len(gold) > 2000:
        return False
    key = typeset_key(predicted)
    if key and key == typeset_key(gold):
        return True
    return fold(normalise(predicted)) == fold(normalise(gold)) != ""


def is_symbolic(text: str, value: Value | None) -> bool:
    """Whether the symbolic layer could make something of it: a number, or a text with mathematics in it."""
    return value is not None or (is_mathematics(text.strip()) and not has_form_of_number(text))


def compare_symbolically(predicted: str, gold: str, sandbox: "SandboxPool", timeout_s: float) -> Comparison:
    """math-verify in a killable worker process; a crash or a missed deadline is not equal."""
    from siked_ray.verification.sandbox.client import SandboxError, SandboxTimeout

    try:
        reply = sandbox.run({"task": "equivalent", "predicted": predicted, "gold": gold}, timeout_s)
    except SandboxTimeout:
        return Comparison(equal=False, layer=Layer.SYMBOLIC, timed_out=True)
    except SandboxError as error:
        return Comparison(equal=False, layer=Layer.SYMBOLIC, error=str(error))
    return Comparison(equal=reply.get("equal") is True, layer=Layer.SYMBOLIC, error=str(reply.get("error", "")))


def choice_of(gold: str) -> str:
    """The letter of a gold that is an option of a multiple-choice question (`B`, `(B)`), else an empty string."""
    match = _CHOICE_GOLD.fullmatch(normalise(gold).strip()) if len(gold) <= 40 else None
    return (match[1] or match[2]).upper() if match else ""


def fold(text: str) -> str:
    """Text without case, doubled white space and edge punctuation: the exact layer's notion of the same text."""
    return without_right_edge(" ".join(text.casefold().split()).lstrip(_OPENING), _CLOSING)


def same_value(left: Value, right: Value) -> bool:
    """Whether two read values are equal under the documented rules."""
    if isinstance(left, Listing) and isinstance(right, Listing):
        return _same_listing(left, right)
    if isinstance(left, Colon) and isinstance(right, Colon):
        return _same_colon(left, right)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return _same_quantity(left, right)
    if isinstance(left, Colon) and isinstance(right, Quantity):
        return _ratio_is_fraction(left, right)
    if isinstance(left, Quantity) and isinstance(right, Colon):
        return _ratio_is_fraction(right, left)
    return False


def _same_listing(left: Listing, right: Listing) -> bool:
    """In any order where both are sets or mere lists; a tuple is no interval, a list without brackets may be either."""
    if len(left.items) != len(right.items) or (left.brackets and right.brackets and left.brackets != right.brackets):
        return False
    if "{}" in (left.brackets, right.brackets) or not (left.is_ordered or right.is_ordered):
        return _same_items(left.items, right.items)
    return all(map(same_value, left.items, right.items))


def _same_items(left: tuple[Quantity | Colon, ...], right: tuple[Quantity | Colon, ...]) -> bool:
    """Whether each item has a partner of its own on the other side, in any order."""
    remaining = list(right)
    for item in left:
        partner = next((index for index, other in enumerate(remaining) if same_value(item, other)), None)
        if partner is None:
            return False
        remaining.pop(partner)
    return True


def _same_quantity(left: Quantity, right: Quantity) -> bool:
    if _same_number(left, right):
        return True
    if left.is_percent != right.is_percent:
        return _same_number(_as_hundredths(left), _as_hundredths(right))
    return False


def _as_hundredths(quantity: Quantity) -> Quantity:
    """A percentage as a share; only the digits that it shows itself can be rounded (`33.33%` is 1/3, `33%` is not)."""
    if not quantity.is_percent:
        return quantity
    shown = quantity.decimals
    decimals = None if shown is None else shown + 2 if shown >= MIN_ROUNDED_DECIMALS else 0
    return Quantity(value=quantity.value / 100, decimals=decimals)


def _same_number(left: Quantity, right: Quantity) -> bool:
    a, b = left.value, right.value
    if a == b:
        return True
    if a.denominator == 1 and b.denominator == 1:
        return False
    scale = max(abs(a), abs(b)) if a and b else 1
    return abs(a - b) <= FLOAT_TOLERANCE * scale or _is_rounded(left, right)


def _is_rounded(left: Quantity, right: Quantity) -> bool:
    """Whether the one with fewer decimals (at least two) is the other one, rounded half up or half to even."""
    shown = [quantity.decimals for quantity in (left, right) if quantity.decimals is not None]
    decimals = min(shown, default=0)
    if decimals < MIN_ROUNDED_DECIMALS:
        return False
    short, long = (left, right) if left.decimals == decimals else (right, left)
    if long.decimals == decimals or short.value == 0:
        return False
    return abs(short.value - long.value) <= Fraction(1, 2 * 10**decimals)


def _same_colon(left: Colon, right: Colon) -> bool:
    times = (_looks_like_time(left), _looks_like_time(right))
    if all(times):
        return _same_time(left, right)
    if left.meridiem or right.meridiem:
        return False
    return len(left.parts) == len(right.parts) and _is_proportional(left.parts, right.parts)


def _is_proportional(left: tuple[Fraction, ...], right: tuple[Fraction, ...]) -> bool:
    """`6:4` is `3:2`; no ratio with a zero in it is reduced."""
    if not all(left) or not all(right):
        return left == right
    return all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True))


def _looks_like_time(colon: Colon) -> bool:
    """`3:30`, `15:55`, `9:03:36`: two-digit minutes and seconds below 60, hours up to 24."""
    minutes = colon.written[1:]  # none where only the hour is given
    return colon.parts[0] <= 24 and all(len(part) == 2 and part.isdigit() and int(part) < 60 for part in minutes)


def _same_time(left: Colon, right: Colon) -> bool:
    """Equal on a 24 hour clock; where only one says a.m. or p.m., equal as written is enough."""
    if bool(left.meridiem) == bool(right.meridiem):
        return _clock(left) == _clock(right)
    return _clock(left) == _clock(right) or _padded(left) == _padded(right)


def _clock(colon: Colon) -> tuple[Fraction, ...]:
    hours, *rest = _padded(colon)
    return ((hours % 12) + (12 if colon.meridiem == "p" else 0) if colon.meridiem else hours, *rest)


def _padded(colon: Colon) -> tuple[Fraction, ...]:
    return (*colon.parts, *(Fraction(0),) * (3 - len(colon.parts)))


def _ratio_is_fraction(ratio: Colon, number: Quantity) -> bool:
    """`3:2` is the fraction 3/2, but not the decimal 1.5: a bare number rarely means a ratio. `3 p.m.` is a bare 3."""
    if len(ratio.parts) == 1:
        return number.value == ratio.parts[0]
    is_plain = len(ratio.parts) == 2 and not ratio.meridiem and ratio.parts[1] != 0
    return is_plain and number.is_fraction and number.value * ratio.parts[1] == ratio.parts[0]
