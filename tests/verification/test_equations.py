"""Equations in a text: which are found, and which are true."""

import pytest

from siked_ray.verification.equations import equations_in
from siked_ray.verification.plain_signs import plain_signs


def truths(text: str) -> list[bool]:
    plain, marks = plain_signs(text)
    return [equation.is_true for equation in [*equations_in(plain), *equations_in(marks)]]


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7",
        "$12 * 5 = $60",
        "12 x 3 = 36 apples",
        "12 × 3 = 36",
        "7 boys + 2 girls = 9 children in all",
        "20% of 50 is 10",
        "2/3 of the 12 pieces is 8",
        "5 times 3 equals 15",
        "100% - 40% = 60%",
        "200 * 10% = 20",
        "(3 / 21) * 100 = 14.29%",
        "1,236 - 440 = 796",
        "8 * $1785.00 = $14,280.00",
        "1 000 000 + 500 000 = 1 500 000",
        "2(3 + 4) = 14",
        "1 1/2 * 4 = 6",
        "20 / 2/3 = 30",
        "10 / 3 = 3.33",
        "20 / 3 = 6.66",
        "20 / 3 = 6.67",
        "7 / 2 = 3.5",
        "78 / 11 = 7",
        "0.067 * 60 = 4.02 minutes",
        "2^3 = 8",
        "3 years (16 - 13 = 3)",
        "The area is 16 * 8 = 128 ft^2.",
        "**3 + 4 = 7**",
        r"\(3 \times 4 = 12\)",
        r"$\frac{12}{4} = 3$",
        "<<48/2=24>>24 clips",
        "349 / 7 = 49 full boxes, and 6 brownies are left",
    ],
)
def test_true_equations(text: str) -> None:
    assert truths(text) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 8",
        "$33 + $32 + $18 + $37 = $110",
        "12 x 3 = 35 apples",
        "20% of 50 is 11",
        "200 * 10% = 2000",
        "10 / 3 = 3.34",
        "10 / 3 = 3.32",
        "7 / 2 = 3",
        "50 - 60 = 10",
        "<<3+4=8>>",
        "1400 / 4 = 700",
        "54 / 7 = 7",
        "345 / 14 = 24.625 games",
    ],
)
def test_false_equations(text: str) -> None:
    assert truths(text) == [False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 + 2 = 9 - 1 = 8", [True, True]),
        ("5 * 8 = 40 + 10 = 50", [True, True]),
        ("5 * 8 = 40 + 10 = 60", [True, False]),
        ("4 * 3 dollars = 12 dollars + 2 * 4 dollars = 8 dollars", [True, True]),
        ("(8 - 7) / 4 = 1 / 4 = 1", [True, False]),
        ("3 / 4 = 0.75 = 75%", [True, True]),
        ("She buys 3 * 4 = 12 eggs and 2 + 2 = 5 cakes.", [True, False]),
        ("3 + 4 = 7.\n- 7 - 2 = 5", [True, True]),
    ],
)
def test_chains_and_several_equations(text: str, expected: list[bool]) -> None:
    assert truths(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x + 3 = 7",
        "2x + 3 = 12",
        "Simplify to get 2k + 14 = 112.",
        "3 * 4 = 5x",
        "24 + 8 = y",
        "price * 3 = 15 + 2",
        "60 minutes = 1 hour",
        "30 minutes + 1 hour = 90 minutes",
        "$2.50 - 70 cents = 180 cents",
        "3/4 = 45 minutes",
        "4:00 + 3 hours = 7:00 pm",
        "10 ladders with 50 rungs = 10 * 60",
        "5 * 500,000 = 2 million",
        "$700 + 50% = $1050",
        "half of 36 + 72 = 54",
        "17 / 5 = 3 remainder 2",
        "the price of 3 * 4 pens is 12 * 2",
        "4 bags of 3 apples = 12 apples",
        "no numbers here = none",
    ],
)
def test_what_says_nothing_that_could_be_checked(text: str) -> None:
    assert False not in truths(text)


@pytest.mark.parametrize(
    "text", ["9" * 5000 + " + 1 = 2", "2^999999 = 1", "1 / 0 = 0", "(" * 2000 + "3 = 4", "+1" * 3000 + "=1"]
)
def test_odd_texts_do_no_harm(text: str) -> None:
    assert True not in truths(text)
