"""Equations and operators, worked out exactly and in this process; what is more than arithmetic is not evaluated."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.core.verdict import Verdict
from siked_ray.verification import verifier
from siked_ray.verification.calculation import NoCalculation, shown, value_of
from siked_ray.verification.soundness import reasoning_of
from siked_ray.verification.verifier import Verifier

EQUATION = Strategy(name="equation", kind=AnswerKind.EQUATION, instruction="")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("( 76.0 - 25.0 )", "51"),
        ("X=((32.0+42.0)-35.0)", "39"),
        ("48/2=24\n48+24=72", "72"),
        ("7+2=9 (apples)", "9"),
        ("1,000 x 3 = 3,000", "3000"),
        ("2 × 3 ÷ 4 − 1", "0.5"),
        ("2(3)", None),
        ("2 x(3)", "6"),
        ("10 - 2 - 3", "5"),
        ("2 + 3 * 4", "14"),
        ("-(2 - 5)", "3"),
        ("1/3", "1/3"),
        (".5*4", "2"),
        ("add(2, 3) | divide(#0, 4)|", "1.25"),
        ("subtract(-2, 3)", "-5"),
    ],
)
def test_values(text: str, value: str | None):
    if value is None:
        with pytest.raises(NoCalculation):
            value_of(text)
    else:
        assert shown(value_of(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " \n",
            "= 3",
            "a + 2",
            "2 ** 3",
            "2 ^ 3",
            "20% * 5",
            "$3 + 4",
            "LCM[19,2]=38",
            "2:3",
            "7 r5",
            "3 +",
            "(2",
        ),
        *("2 3", "1,2,3", "1.2.3", "1/0", "x+y=3", "__import__('os')", "9" * 40, "1+" * 1500 + "1", "(" * 1900 + "1"),
        *("power(2, 3)", "add(2)", "add(#0, 1)", "add(1, 2) | add(#1, 3)", "divide(1, 0)", "add(n0, n1)", "X=Y=3"),
    ],
)
def test_what_is_more_than_numbers_and_signs_cannot_be_checked(text: str):
    with pytest.raises(NoCalculation):
        value_of(text)
    with Verifier([EQUATION]) as judge:
        found = judge.judge("equation", text, "3")
    assert found.verdict is Verdict.UNPARSED and found.reason.startswith("cannot be checked: ")


_NUMBERS = st.integers(0, 999).map(str) | st.decimals(0, 99, places=2).map(str)


def _joined(left: str, sign: str, right: str) -> str:
    return f"({left} {sign} {right})"


@given(st.recursive(_NUMBERS, lambda inner: st.builds(_joined, inner, st.sampled_from("+-*/"), inner), max_leaves=12))
def test_it_is_what_exact_arithmetic_says(text: str):
    import re

    exact = re.sub(r"\d+(?:\.\d+)?", lambda number: f"Fraction('{number.group()}')", text)
    try:
        expected = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(NoCalculation):
            value_of(text)
        return
    assert value_of(text) == expected
    assert Fraction(shown(value_of(text))) == expected


@pytest.mark.parametrize(
    ("text", "gold", "verdict", "predicted"),
    [
        ("48/2=24\n48+24=72", "72", Verdict.CORRECT, "72"),
        ("[equation]: 48+24=72", "72", Verdict.CORRECT, "72"),
        ("48+24=72", "73", Verdict.WRONG, "72"),
        ("10/3", "3.33", Verdict.CORRECT, "10/3"),
        ("5/2", "5/2", Verdict.CORRECT, "2.5"),
        ("6/4", "3:2", Verdict.WRONG, "1.5"),
    ],
)
def test_verdicts(text: str, gold: str, verdict: Verdict, predicted: str):
    with Verifier([EQUATION]) as judge:
        found = judge.judge("equation", text, gold)
        assert (found.verdict, found.predicted) == (verdict, predicted)
        assert judge.judge_at_once("equation", text, gold) == found


def test_no_process_is_started(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process of its own")

    monkeypatch.setattr(verifier, "compare_symbolically", refuse)
    with Verifier([EQUATION]) as judge:
        monkeypatch.setattr(judge._programs, "run", refuse)
        monkeypatch.setattr(judge._algebra, "run", refuse)
        assert judge.judge("equation", "2*3", "6").verdict is Verdict.CORRECT
        assert judge.judge("equation", "sqrt(4)", "\\sqrt{4}").verdict is Verdict.UNPARSED
        assert judge.judge("equation", "2", "\\sqrt{4}").verdict is Verdict.WRONG


def test_an_equation_is_sound_where_all_its_lines_are_true():
    assert reasoning_of(EQUATION, "?", "48/2=24\n48+24=72", "72").sound
    assert reasoning_of(EQUATION, "?", "( 76 - 25 )", "51").sound
    assert not reasoning_of(EQUATION, "?", "48/2=25\n48+24=72", "72").sound
