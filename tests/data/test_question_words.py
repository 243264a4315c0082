"""Two spellings of a question have the same words, and two questions have not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.data.question_words import numbers_of, words_of


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Ann’s 3 cats, don't run!", "anns 3 cats dont run"),
        ("  HOW\n many?? ", "how many"),
        ("$1,200.50 and 1,234,567 but 1,2,3", "1200.5 and 1234567 but 1 2 3"),
        ("00.10 of 007 and .5", "0.1 of 7 and 0.5"),
        ("twenty-five or twelve hundred", "25 or 1200"),
        ("one hundred and five and more", "105 and more"),
        ("two million three hundred thousand six", "2300006"),
        ("five six, thirty forty", "5 6 30 40"),
        ("a five-year-old and a 5-year-old t-shirt", "a 5 year old and a 5 year old t shirt"),
        ("3 - 4, 3−4, 3–4, 3+4", "3 - 4 3 - 4 3 - 4 3 + 4"),
        ("x - 1 = 2*(-y+3)", "x - 1 = 2 * ( - y + 3"),
        (r"\frac{1}{2} - \sqrt{3}", "frac 1 2 - sqrt 3"),
        ("20% or 20 percent", "20 percent or 20 percent"),
        ("小明有3个", "小 明 有 3 个"),
        ("**Bold** - a bullet", "bold a bullet"),
        ("?!", ""),
    ],
)
def test_words(question: str, words: str) -> None:
    assert words_of(question) == words.split()


def test_numbers_are_the_words_that_begin_with_a_digit() -> None:
    assert numbers_of(words_of("Two of 12 eggs cost $3.50.")) == ["2", "12", "3.5"]


_ONES_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_ONES = _ONES_NAMES.split()
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spelled(number: int) -> str:
    """A number in English words, below a billion."""
    for name, size in (("million", 10**6), ("thousand", 10**3), ("hundred", 100)):
        if number >= size:
            rest = f" {spelled(number % size)}" if number % size else ""
            return f"{spelled(number // size)} {name}{rest}"
    if number < 20:
        return _ONES[number]
    return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")


@given(st.integers(0, 10**9 - 1))
def test_numbers_in_words_and_in_digits(number: int) -> None:
    for text in (spelled(number), str(number), f"{number:,}", f"{number}.00"):
        assert words_of(f"about {text} eggs") == ["about", str(number), "eggs"]
