"""One number as it is written (`-$1,234.50`, `1 3/4`, `1.5 x 10^3`, `2.5 million`, `50%`), read exactly."""

import re
from decimal import Decimal
from fractions import Fraction

from siked_ray.verification.values import MAX_DIGITS, MAX_EXPONENT, Quantity, spell

DIGITS = r"(?:(?<![\d.,])[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}(?!\d)|[1-9]\d{0,2}(?:[_']\d{3})+(?!\d)|\d+)"
NUMBER = rf"(?:{DIGITS}(?:\.\d+)?|(?<![\d\w])\.\d+)"
_POWER_OF_TEN = (
    r"(?:[eE][+-]?\d+(?![\w.])|\s?[*xX]\s?10\s?(?:\^|\*\*)\s?(?:\{\s?[+-]?\d+\s?\}|\(\s?[+-]?\d+\s?\)|[+-]?\d+))"
)
CURRENCY = r"(?:(?:US|C|A|CA|AU|NZ|HK)?\$|£|€|₹|¥|₱|Rs\.?|USD|EUR|GBP|INR)"
ATOM = (
    rf"(?:(?P<sign>[-+])\s?)?(?P<currency>{CURRENCY}\s?)?(?P<inner_sign>-)?"
    rf"(?:(?P<whole>\d+)\s+(?:and\s+)?(?P<mixed_top>\d+)\s?/\s?(?P<mixed_bottom>\d+)(?![\d/])"
    rf"|(?P<top>{NUMBER})\s?/\s?(?P<bottom>{NUMBER})(?!\s?/|[\d.]*\d)"
    rf"|(?P<number>{NUMBER})(?P<power>{_POWER_OF_TEN})?)"
    r"(?P<magnitude>\s?(?:hundred|thousand|million|billion|trillion)\b)?"
    r"(?P<percent>\s?(?:%|percent\b|per cent\b))?"
)
SEPARATORS = str.maketrans("", "", ",_'")
_MAGNITUDES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def quantity_of(match: re.Match[str]) -> Quantity | None:
    """The number that a match of ATOM stands for; None when it has too many digits or divides by zero."""
    try:
        value, decimals = _magnitude_and_decimals(match)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    negative = (match["sign"] == "-") != (match["inner_sign"] == "-")
    return Quantity(
        value=-value if negative else value,
        decimals=decimals,
        is_percent=bool(match["percent"]),
        is_fraction=decimals is None,
        text=("-" if negative else "") + _spelling(match, value) + ("%" if match["percent"] else ""),
    )


def _magnitude_and_decimals(match: re.Match[str]) -> tuple[Fraction, int | None]:
    scale = _MAGNITUDES[match["magnitude"].strip().lower()] if match["magnitude"] else 1
    if match["whole"]:
        return (exact(match["whole"]) + exact(match["mixed_top"]) / exact(match["mixed_bottom"])) * scale, None
    if match["top"]:
        return exact(match["top"]) / exact(match["bottom"]) * scale, None
    digits = match["number"]
    value = exact(digits) * scale
    if match["power"]:
        exponent = int(re.sub(r"^(?:[eE]|\s?[*xX]\s?10\s?(?:\^|\*\*))|[\s{}()]", "", match["power"]))
        if abs(exponent) > MAX_EXPONENT:
            raise OverflowError("exponent out of range")
        return value * Fraction(10) ** exponent, max(0, len(digits.partition(".")[2]) - exponent)
    return value, len(digits.partition(".")[2])


def exact(digits: str) -> Fraction:
    if len(digits) > MAX_DIGITS:
        raise OverflowError("too many digits")
    plain = digits.translate(SEPARATORS)
    return Fraction(int(plain)) if plain.isdigit() else Fraction(Decimal(plain))


def _spelling(match: re.Match[str], value: Fraction) -> str:
    """How the number is reported: its own digits, without separators, currency and unit."""
    if match["magnitude"] or match["power"]:
        return spell(value)
    if match["whole"]:
        return f"{match['whole']} {match['mixed_top']}/{match['mixed_bottom']}"
    if match["top"]:
        return f"{bare(match['top'])}/{bare(match['bottom'])}"
    return bare(match["number"])


def bare(digits: str) -> str:
    plain = digits.translate(SEPARATORS)
    return "0" + plain if plain.startswith(".") else plain
