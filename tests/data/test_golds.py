import datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.data.golds import ExclusionReason, UnusableAnswer, canonical_answer, canonical_number


@pytest.mark.parametrize(
    ("found", "canonical"),
    [
        ("72", "72"),
        (" 72. ", "72"),
        (18.0, "18"),
        (0, "0"),
        (0.0, "0"),
        ("-0.0", "0"),
        (-7, "-7"),
        ("\N{MINUS SIGN}7", "-7"),
        ("1,234.50", "1234.5"),
        ("109,200,000", "109200000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        (1e22, "1" + "0" * 22),
        (0.00001, "0.00001"),
        (Decimal("18.00"), "18"),
        ("12345678901234567890123456789.10", "12345678901234567890123456789.1"),
        ("$1,080", "1080"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("50%", "50"),
        ("66 dollars", "66"),
        ("9 (apples)", "9"),
        ("14  (seats)", "14"),
        ("24 (sq. ft)", "24"),
        ("3.5 (dollars); 1.8 (dollars)", "3.5; 1.8"),
        ("11; 12; 13", "11; 12; 13"),
        ("26 (years old); 18 (years old)", "26; 18"),
        ([39.0], "39"),
        (b"39", "39"),
        ([1, 2.5], "1; 2.5"),
        ("5/2", "5/2"),
        ("10/4", "5/2"),
        ("8/4", "2"),
        ("-(1/3)", "-1/3"),
        ("2 1/2", "5/2"),
        ("3/4 cups", "3/4"),
        ("3:2", "3:2"),
        ("1 : 2 : 3", "1:2:3"),
        ("He has 70 + 2 = <<70+2=72>>72.\n#### 1,072", "1072"),
        ("3+4 = 7.\n#### 7\nThe answer is: 7", "7"),
        ("So the answer is 3 more.\n#### 5", "5"),
        ("The answer is 7.", "7"),
        ("The answer is .5", "0.5"),
        ("The answer is: $1,080$", "1080"),
        ("answer: 7 km", "7"),
        (r"It is $\boxed{7}$.", "7"),
        (r"First \boxed{3}, then \boxed{\frac{1}{2}}.", "1/2"),
        (r"\boxed{1{,}000}", "1000"),
        (r"\boxed{2\text{ cm}}", "2"),
        (r"\frac{3}{4}", "3/4"),
        ("$7$", "7"),
        ("<answer>7</answer>", "7"),
        ("7 months", "7"),
    ],
)
def test_canonical_answers(found: object, canonical: str) -> None:
    assert canonical_answer(found) == canonical
    assert canonical_answer(canonical) == canonical


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, ExclusionReason.NO_ANSWER),
        ("", ExclusionReason.NO_ANSWER),
        ("  ", ExclusionReason.NO_ANSWER),
        (float("nan"), ExclusionReason.NO_ANSWER),
        ([], ExclusionReason.NO_ANSWER),
        ("#### ", ExclusionReason.NO_ANSWER),
        ("Yes", ExclusionReason.YES_NO),
        ("no.", ExclusionReason.YES_NO),
        (True, ExclusionReason.YES_NO),
        ("3:30 p.m.", ExclusionReason.TIME),
        ("5:45", ExclusionReason.TIME),
        ("9:03:36 a.m.", ExclusionReason.TIME),
        ("11:55 p.m. on 24 December 2014.", ExclusionReason.TIME),
        ("5 pm", ExclusionReason.TIME),
        ("3 o'clock", ExclusionReason.TIME),
        (datetime.time(3, 45), ExclusionReason.TIME),
        ("Mrs. Hilt", ExclusionReason.NOT_A_NUMBER),
        ("Rug 2", ExclusionReason.NOT_A_NUMBER),
        ("February 3rd", ExclusionReason.NOT_A_NUMBER),
        ("6th", ExclusionReason.NOT_A_NUMBER),
        ("The 60th caller.", ExclusionReason.NOT_A_NUMBER),
        ("2 dozen", ExclusionReason.NOT_A_NUMBER),
        ("2 million", ExclusionReason.NOT_A_NUMBER),
        ("5 below", ExclusionReason.NOT_A_NUMBER),
        ("5 lakh", ExclusionReason.NOT_A_NUMBER),
        ("5 crore", ExclusionReason.NOT_A_NUMBER),
        ("5 tenths", ExclusionReason.NOT_A_NUMBER),
        ("5 hundredths", ExclusionReason.NOT_A_NUMBER),
        ("3 quadrillion", ExclusionReason.NOT_A_NUMBER),
        ("7 sixteenths", ExclusionReason.NOT_A_NUMBER),
        ("#### 7\nThe answer is: 8", ExclusionReason.NOT_A_NUMBER),
        ("The answer is 7 or 8", ExclusionReason.NOT_A_NUMBER),
        (r"\boxed{x+1}", ExclusionReason.NOT_A_NUMBER),
        (r"\boxed{7", ExclusionReason.NO_ANSWER),
        ("2 pi", ExclusionReason.NOT_A_NUMBER),
        ("5 x", ExclusionReason.NOT_A_NUMBER),
        ("5-3", ExclusionReason.NOT_A_NUMBER),
        ("3 or 4", ExclusionReason.NOT_A_NUMBER),
        ("5; Tom", ExclusionReason.NOT_A_NUMBER),
        ("5;", ExclusionReason.NOT_A_NUMBER),
        ("1,23", ExclusionReason.NOT_A_NUMBER),
        ("0,123", ExclusionReason.NOT_A_NUMBER),
        ("1.234,50", ExclusionReason.NOT_A_NUMBER),
        ("1/0", ExclusionReason.NOT_A_NUMBER),
        (float("inf"), ExclusionReason.NOT_A_NUMBER),
        ({"value": 5}, ExclusionReason.NOT_A_NUMBER),
        ("-", ExclusionReason.NOT_A_NUMBER),
        (".", ExclusionReason.NOT_A_NUMBER),
        pytest.param("1" * 5000 + "/3", ExclusionReason.NOT_A_NUMBER, id="5,000 digits"),
        (b"Tom", ExclusionReason.NOT_A_NUMBER),
    ],
)
def test_refused_answers(found: object, reason: ExclusionReason) -> None:
    with pytest.raises(UnusableAnswer) as refusal:
        canonical_answer(found)
    assert refusal.value.reason == reason


def test_a_ratio_that_looks_like_a_time_is_told_by_its_question() -> None:
    assert canonical_answer("22:15", question="What is the ratio of boys to girls?") == "22:15"
    with pytest.raises(UnusableAnswer):
        canonical_answer("22:15", question="When does it end?")


numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6)


@given(numbers)
def test_numbers_keep_their_value_and_have_one_text(number: Decimal) -> None:
    canonical = canonical_number(format(number, "f"))
    assert Fraction(canonical) == Fraction(number)
    assert canonical == canonical_number(canonical) == canonical_number(f"{number:,f}") == canonical_answer(number)
    assert "." not in canonical or canonical[-1] not in "0."
    assert canonical != "-0"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value(number: float) -> None:
    assert float(canonical_answer(number)) == number


@given(st.integers())
def test_whole_floats_and_integers_agree(number: int) -> None:
    assert canonical_answer(number) == str(number) == canonical_answer(f"{number}.0") == canonical_answer(f"${number}")


@given(st.text())
def test_any_text_is_a_gold_or_refused(text: str) -> None:
    try:
        canonical = canonical_answer(text)
    except UnusableAnswer:
        return
    assert canonical_answer(canonical, question="ratio") == canonical
