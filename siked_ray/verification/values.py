"""What a short answer can state: a number, a ratio or time, or a list of them, exactly (as fractions)."""

from dataclasses import dataclass
from fractions import Fraction

#: Longer digit strings and exponents are compared as text only: exact arithmetic on them could take all memory.
MAX_DIGITS = 400
MAX_EXPONENT = 400


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number. `decimals` is how many digits were written after the point, None for a fraction."""

    value: Fraction
    decimals: int | None = 0
    is_percent: bool = False
    is_fraction: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Colon:
    """A ratio (`3:2`) or a time of day (`3:30 p.m.`): both are written with colons, but for a whole hour (`3 p.m.`)."""

    parts: tuple[Fraction, ...]
    written: tuple[str, ...]
    meridiem: str = ""

    @property
    def text(self) -> str:
        return ":".join(self.written) + (f" {self.meridiem}m" if self.meridiem else "")


@dataclass(frozen=True, slots=True)
class Listing:
    """Several answers in the order in which they were written; `brackets` are those of a tuple, interval or set.

    `is_ordered`: what an item is can only be told by its place, or by a label or unit of its own.
    """

    items: tuple[Quantity | Colon, ...]
    brackets: str = ""
    is_ordered: bool = True

    @property
    def text(self) -> str:
        if self.brackets:
            return self.brackets[0] + ", ".join(item.text for item in self.items) + self.brackets[1]
        return ("; " if self.is_ordered else ", ").join(item.text for item in self.items)


Value = Quantity | Colon | Listing


def spell(value: Fraction) -> str:
    """A fraction as an integer, a finite decimal, or `p/q`."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    while rest % 2 == 0:
        rest //= 2
    while rest % 5 == 0:
        rest //= 5
    if rest != 1 or value.denominator > 10**MAX_EXPONENT:
        return f"{value.numerator}/{value.denominator}"
    places = max(value.denominator.bit_length(), 1)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return ("-" if value < 0 else "") + f"{digits[:-places]}.{digits[-places:]}".rstrip("0")
