"""The words of a question, so that two spellings of the same question have the same words.

Case, punctuation and white space do not count. A number is its value: `1,200`, `1200.0` and `twelve hundred` are the
word `1200`. Numbers stay, as in the n-grams of GPT-3's appendix C: problems that differ in their numbers differ. Signs
of arithmetic stay where something is calculated: `3 - 4` and `3 + 4` are no equal texts.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from siked_ray.core.number_names import SCALES, SMALL, TENS

_NAMES = frozenset({*SMALL, *TENS})
#: After which a number goes on, with or without `and`.
_LARGE = frozenset({*SCALES, "hundred"})
#: Numbers; words (signs of scripts that write without spaces, one by one); signs before what can be calculated with.
_WORD = re.compile(
    r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
    r"|[\u3040-\u30ff\u3400-\u9fff]"
    r"|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|\d"
    r"|[-+*/^=<>(×÷√](?=[-+(√\\\s]{0,8}(?:\.?[0-9]|[b-hj-z]\b|\\[a-z]))"
)
#: Of one sign several spellings.
_SPELLINGS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "'": None, "’": None, "%": " percent "})


def words_of(question: str) -> list[str]:
    """The normalised words of a question, in their order; numbers are those that begin with a digit."""
    if not question.isascii():
        question = unicodedata.normalize("NFKC", question)
    words = _WORD.findall(question.translate(_SPELLINGS).casefold())
    if not _NAMES.isdisjoint(words):
        words = list(_with_digits(words))
    return [_plain(word) if word[0] in "0123456789." else word for word in words]


def numbers_of(words: Sequence[str]) -> list[str]:
    """The numbers among normalised words, in their order."""
    return [word for word in words if word[0].isdigit()]


def _plain(number: str) -> str:
    """`1,200.50` → `1200.5`."""
    whole, _, part = number.replace(",", "").partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if part else "")


def _with_digits(words: Sequence[str]) -> Iterator[str]:
    """The words, with digits in place of numbers that are written out."""
    start = 0
    while start < len(words):
        if words[start] in SMALL or words[start] in TENS:
            value, start = _number_at(words, start)
            yield str(value)
        else:
            yield words[start]
            start += 1


def _number_at(words: Sequence[str], start: int) -> tuple[int, int]:
    """The longest number that begins at a word, and where it ends."""
    total, group, scale = 0, 0, 10**15
    position = start
    while position < len(words):
        word = words[position]
        part = SMALL.get(word, TENS.get(word))
        if word in SCALES and group and SCALES[word] < scale:
            scale = SCALES[word]
            total, group = total + group * scale, 0
        elif word == "hundred" and 0 < group < 100:
            group *= 100
        elif part is not None and (position == start or _continues(group, part, words[position - 1])):
            group += part
        elif not (word == "and" and words[position - 1] in _LARGE and _is_small(words[position + 1 : position + 2])):
            break
        position += 1
    return total + group, position


def _continues(group: int, part: int, before: str) -> bool:
    """Whether a part goes on with a group: `twenty` `five`, `two hundred` `fifty`; `five` `six` are two numbers."""
    tens, ones = group % 100 // 10, group % 10
    return before in _LARGE or before == "and" or (tens > 1 and ones == 0 and 0 < part < 10)


def _is_small(words: Sequence[str]) -> bool:
    return bool(words) and (words[0] in SMALL or words[0] in TENS)
