"""The gold of a row of `siked verify`: a value as it stands, or what a solution states, read as a completion is."""

import re
from dataclasses import dataclass

from siked_ray.verification.equivalence import compare_without_symbols
from siked_ray.verification.extraction import extract_answer
from siked_ray.verification.quantity import read_value

_GSM8K_MARKER = "####"
_TAG = re.compile(r"\s*<answer>(.*)</answer>\s*", re.IGNORECASE | re.DOTALL)
#: What only a text has that states its answer somewhere: a value or a name does not.
_STATES = re.compile(r"\\(?:boxed|fbox)\b|\banswer\b\s*(?:is|:|=)", re.IGNORECASE)
_MAX_VALUE_CHARS = 200
_MIN_SENTENCE_WORDS = 5
_BLANKS_BETWEEN_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gold:
    """The value to compare with, or why there is none."""

    value: str = ""
    problem: str = ""


def read_gold(text: str) -> Gold:
    """The value of a gold as rows have it: `72`, `… #### 72`, `… \\boxed{72}`, `The answer is: 72`.

    A text that is neither a value nor states one, or that states two different ones, has none: comparing with a
    sentence would be wrong without anybody noticing.
    """
    tagged = _TAG.fullmatch(text)
    text = (tagged[1] if tagged else text).strip()
    if _GSM8K_MARKER in text:
        value, *rest = text.rpartition(_GSM8K_MARKER)[2].strip().split("\n", 1)
        if rest and _STATES.search(rest[0]):
            later = _stated(rest[0])
            if later.problem or _differ(value, later.value):
                return Gold(problem=f"the gold states two answers ({value[:40]!r}, {later.value[:40]!r})")
        return Gold(value=value)
    if _STATES.search(text) and read_value(text) is None:
        return _stated(text)
    if _BLANKS_BETWEEN_THOUSANDS.fullmatch(text):
        return Gold(value=text.replace(" ", ""))
    if _is_sentence(text):
        return Gold(problem=f"the gold is a text without a marked answer ({text[:40]!r})")
    return Gold(value=text)


def _stated(text: str) -> Gold:
    """What a completion with this text would have answered."""
    found = extract_answer(text)
    if found.answer is None or not (found.by_marker or found.by_phrase):
        return Gold(problem=f"the answer of the gold cannot be read ({text[-40:]!r})")
    return Gold(value=found.answer)


def _differ(left: str, right: str) -> bool:
    comparison = compare_without_symbols(left, right)
    return comparison is None or not comparison.equal


def _is_sentence(text: str) -> bool:
    """`She has 7 eggs left.`; a formula and a name, however long, may be golds."""
    is_mathematics = "\\" in text or "$" in text
    if is_mathematics or not any(char.isdigit() for char in text):
        return False
    return (
        "\n" in text
        or len(text) > _MAX_VALUE_CHARS
        or (text.endswith(".") and len(text.split()) >= _MIN_SENTENCE_WORDS)
    )
