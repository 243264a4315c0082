"""What the body of a rationale concludes, and whether that is its answer.

The body is what stands before the closing line (`The answer is 7.`). Its conclusions are the results of its last chain
of equations, and those of its last sentence that has a number, with the numbers after them.
"""

import re
from fractions import Fraction
from functools import lru_cache

from siked_ray.verification.arithmetic import DIGITS, MAX_DIGITS, Number, exact
from siked_ray.verification.equations import Equation, is_rounded
from siked_ray.verification.number_words import read_number_words
from siked_ray.verification.quantity import Colon, Listing, Quantity, read_value

_NUMBER = re.compile(rf"(?<![\d.])(?:{DIGITS})")
_PLAIN_ANSWER = re.compile(r"-?\d{1,18}")
_SENTENCE_ENDS = (". ", "\n", "? ", "! ")
_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)?")
_SAYS_ROUNDED = re.compile(r"\b(?:round|nearest|whole|full|fraction|approximately|about|at least)", re.IGNORECASE)
_OTHER_NUMBER_WORDS = {"once": 1, "twice": 2, "double": 2, "half": 2, "pair": 2, "triple": 3, "thrice": 3, "third": 3}
_OTHER_NUMBER_WORDS |= {"quarter": 4, "dozen": 12, "dozens": 12}

#: The values of an answer, each in the forms in which it may be stated.
_Wanted = list[frozenset[Number]]


def reaches(text: str, equations: list[Equation], answer: str, markers: tuple[str, ...]) -> bool:
    """Whether the body of a text in plain signs concludes in `answer`; words and formulas have to occur in it."""
    closing = _closing_start(text, markers)
    wanted = _wanted(answer)
    if wanted is None:
        return _folded(answer) in _folded(text[:closing])
    last = next((equation for equation in reversed(equations) if equation.end <= closing), None)
    if last is not None and _are_among(set(last.results), wanted):
        return True
    start = _last_sentence(text, closing)
    if start is None:  # `The answer is 3 + 4 = 7.` alone
        return _are_among({number for equation in equations for number in equation.results}, wanted)
    concluded, rest = _conclusions(text, equations, start, closing)
    return (
        _are_among(concluded, wanted)
        or (len(wanted) == 1 and _is_rounded(concluded, wanted[0], answer, text[start:]))
        or _are_among({value for word in _WORD.findall(rest) if (value := number_word(word)) is not None}, wanted)
    )


def _conclusions(text: str, equations: list[Equation], start: int, closing: int) -> tuple[set[Number], str]:
    """The conclusions of a body whose last sentence begins at `start`, and what follows its last equation.

    A closing sentence that has no line of its own (`So the answer is 62 - 39 = 23.`) may state the last equation.
    """
    has_own_line = text[:closing].endswith("\n")
    stated = [equation for equation in equations if not has_own_line or equation.start < closing]
    first = min(start, stated[-1].start) if stated else start
    concluded = {number for equation in stated if equation.start >= first for number in equation.results}
    last_end = next((equation.end for equation in reversed(stated) if equation.end <= closing), start)
    rest = text[max(start, last_end) : closing]
    return concluded.union(numbers_stated_in(rest)), rest


def _are_among(concluded: set[Number], wanted: _Wanted) -> bool:
    return all(not forms.isdisjoint(concluded) for forms in wanted)


def _closing_start(text: str, markers: tuple[str, ...]) -> int:
    """Where the closing line begins: at the first marker in the last line that has one."""
    pattern = _closing_pattern(markers)
    stop = len(text)
    while stop > 0:
        start = text.rfind("\n", 0, stop) + 1
        found = pattern.search(text, start, stop)
        if found is not None:
            return found.start()
        stop = start - 1
    return len(text)


@lru_cache(maxsize=64)
def _closing_pattern(markers: tuple[str, ...]) -> re.Pattern[str]:
    phrases = [r"(?:\bthe |\bfinal )*\banswer(?: is|\**:)", r"####", r"\\boxed"]
    phrases += [r"\s+".join(map(re.escape, marker.removesuffix("{}").split())) for marker in markers]
    return re.compile("|".join(phrases), re.IGNORECASE)


def _last_sentence(text: str, end: int) -> int | None:
    """Where the last sentence with a digit before `end` starts; None where there is no digit."""
    while end > 0:
        start = max(text.rfind(sign, 0, end - 1) for sign in _SENTENCE_ENDS) + 1
        if _DIGIT.search(text, start, end):
            return start
        end = start
    return None


def numbers_stated_in(text: str) -> list[Number]:
    """The numbers that a text has in digits."""
    return [exact(digits) for digits in _NUMBER.findall(text) if len(digits) <= MAX_DIGITS]


def number_word(word: str) -> int | Fraction | None:
    """The number that a single word stands for (`seven`, `twice`), else None."""
    value = read_number_words(word)
    return _OTHER_NUMBER_WORDS.get(word.lower()) if value is None else value


def _wanted(answer: str) -> _Wanted | None:
    """The values of an answer, each in the forms that it may be stated in; None for words and formulas."""
    if _PLAIN_ANSWER.fullmatch(answer):
        return [_forms(int(answer))]
    value = read_value(answer)
    if isinstance(value, Quantity):
        return [_forms(value.value, is_percent=value.is_percent)]
    if isinstance(value, Colon):
        return [_forms(part) for part in value.parts]
    if isinstance(value, Listing):
        parts = [part for item in value.items for part in (item.parts if isinstance(item, Colon) else (item.value,))]
        return [_forms(part) for part in parts]
    return None


def _forms(value: Number, *, is_percent: bool = False) -> frozenset[Number]:
    """A loss of 5 is stated as 5 or as -5, a share as 25% or 0.25."""
    return frozenset((value, -value, Fraction(value) / 100) if is_percent else (value, -value))


def _is_rounded(concluded: set[Number], wanted: frozenset[Number], answer: str, sentence: str) -> bool:
    """Whether the answer is a conclusion rounded as it is written, to an integer only where the sentence says so."""
    decimals = len(answer.partition(".")[2].rstrip("% "))
    pairs = [(value, form) for value in concluded for form in wanted]
    if decimals:
        return any(is_rounded(value, form, decimals) for value, form in pairs)
    return bool(_SAYS_ROUNDED.search(sentence)) and any(-1 < Fraction(value) - form < 1 for value, form in pairs)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .")
