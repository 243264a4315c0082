"""English number words, for answers such as `twelve` or `twenty-five apples`."""

import re

_SMALL_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_SMALL = {word: value for value, word in enumerate(_SMALL_WORDS.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), start=2)}
_ORDINALS = {word: value for value, word in enumerate(_ORDINAL_WORDS.split(), start=1)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_WORDS = "|".join((*_SMALL, *_TENS, *_SCALES, "hundred"))
_PHRASE = re.compile(
    rf"(?:a |the )?(?P<sign>minus |negative )?(?P<words>(?:{_WORDS})(?:(?:[\s-]|\sand\s)+(?:{_WORDS}))*)"
    r"(?:\s+[a-z][a-z'-]*){0,2}",
    re.IGNORECASE,
)
_MAX_CHARS = 200


def read_number_words(text: str) -> int | None:
    """The integer a phrase such as `minus twenty-five` or `two hundred and six apples` states, else None."""
    if len(text) > _MAX_CHARS or not text[:1].isalpha():
        return None
    text = text.strip().strip(".!").lower()
    ordinal = _ORDINALS.get(text.removeprefix("the "))
    if ordinal is not None:
        return ordinal
    match = _PHRASE.fullmatch(text)
    if match is None:
        return None
    value = _value([word for word in re.split(r"[\s-]+", match["words"]) if word != "and"])
    return None if value is None else (-value if match["sign"] else value)


def _value(words: list[str]) -> int | None:
    """Sum of `… thousand`, `… hundred` and the rest; None for sequences that are no number (`five six`)."""
    total, group, last_part = 0, 0, 1000
    for word in words:
        if word in _SCALES:
            total, group, last_part = total + max(group, 1) * _SCALES[word], 0, 1000
        elif word == "hundred":
            group, last_part = max(group, 1) * 100, 100
        else:
            part = _SMALL.get(word, _TENS.get(word, 0))
            if (part >= 10 and last_part < 100) or (part < 10 and last_part < 20):
                return None
            group, last_part = group + part, part if part >= 20 else 1
    return total + group
