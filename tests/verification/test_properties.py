"""Properties: reading back what was formatted, symmetry, and that no input whatever raises."""

import json
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier, extract_answer
from siked_ray.verification.equivalence import compare_without_symbols
from siked_ray.verification.files import judged_line
from siked_ray.verification.program_text import MAX_PROGRAM_CHARS, programs_in, without_unused_imports
from siked_ray.verification.quantity import Quantity, read_value, spell
from siked_ray.verification.screening import refusal

_STYLES = (
    "{plain}",
    "{grouped}",
    "${grouped}",
    "{grouped} dollars",
    "{grouped} km/h",
    "{unicode}",
    "{latex}",
    r"\$ {latex}",
    r"{latex}\text{{ apples}}",
    "({plain})",
    "x = {plain}",
    "{plain} (apples)",
    "**{grouped}**",
    "{plain}.",
)
_FRAMES = (
    "Final Answer: {}",
    "#### {}",
    "We add 3 to it. The answer is {}",
    r"It is \boxed{{{}}}",
    "**Final Answer:**\n{}\n",
)

_integers = st.integers(-(10**15), 10**15).map(Fraction)
_decimals = st.builds(lambda n, places: Fraction(n, 10**places), st.integers(-(10**12), 10**12), st.integers(1, 6))


def _styled(value: Fraction, style: str) -> str:
    plain = spell(value)
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole, dot, rest = digits.partition(".")
    grouped = f"{int(whole):,}"
    return style.format(
        plain=plain,
        grouped=sign + grouped + dot + rest,
        unicode=("\u2212" if sign else "") + grouped.replace(",", "\u202f") + dot + rest,
        latex=sign + grouped.replace(",", "{,}") + dot + rest,
    )


@given(_integers | _decimals, st.sampled_from(_STYLES), st.sampled_from(_FRAMES))
@settings(max_examples=600, deadline=None)
def test_formatting_and_reading_back_is_the_identity(value: Fraction, style: str, frame: str) -> None:
    answer = extract_answer(frame.format(_styled(value, style))).answer
    assert answer is not None
    read = read_value(answer)
    assert isinstance(read, Quantity) and read.value == value


@given(
    st.integers(-999, 999),
    st.integers(1, 99),
    st.sampled_from(("{n}/{d}", r"\frac{{{n}}}{{{d}}}", r"\dfrac{{{n}}}{{{d}}}")),
)
def test_fractions_are_exact(numerator: int, denominator: int, style: str) -> None:
    read = read_value(extract_answer("#### " + style.format(n=numerator, d=denominator)).answer or "")
    assert isinstance(read, Quantity) and read.value == Fraction(numerator, denominator)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_floats_are_read_as_python_writes_them(value: float) -> None:
    read = read_value(repr(value))
    assert isinstance(read, Quantity) and read.value == Fraction(repr(value))


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=5))
def test_lists_keep_their_order(values: list[int]) -> None:
    answer = extract_answer("Final Answer: " + "; ".join(map(str, values))).answer
    assert answer == "; ".join(map(str, values))


_pieces = st.sampled_from(
    [
        "1",
        "-3",
        "1,234",
        "50%",
        "3/4",
        "3:2",
        "3:30 pm",
        "$5",
        " and ",
        "; ",
        r"\frac{1}{2}",
        r"\sqrt{2}",
        "x",
        "=",
        "(",
        ")",
        "e5",
        " dollars",
        "twelve",
    ]
)
_texts = st.text(max_size=60) | st.lists(_pieces, max_size=6).map("".join)


@given(_texts, _texts)
@settings(max_examples=600, deadline=None)
def test_equivalence_is_symmetric_and_reflexive(left: str, right: str) -> None:
    there, back = compare_without_symbols(left, right), compare_without_symbols(right, left)
    assert (there and there.equal) == (back and back.equal)
    itself = compare_without_symbols(left, left)
    assert itself is not None and itself.equal == bool(left.strip())


_WHOLE = (
    "Step 1: 3 + 4 = 7.\n**Final Answer:** $1,234.50",
    r"So $x = \frac{1}{2}$ and \boxed{\text{12{,}345 dollars}}",
    "def solution():\n    x = 5\n    return x * 2\n",
    "```python\nfrom sympy import *\nx = symbols('x')\nanswer = solve(x - 4, x)\n```",
)


@given(st.sampled_from(_WHOLE), st.integers(0, 120), st.booleans())
@settings(deadline=None)
def test_truncated_outputs_do_not_raise(whole: str, length: int, truncated: bool) -> None:
    extract_answer(whole[:length], truncated=truncated)
    list(programs_in(whole[:length]))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=300, deadline=None)
def test_random_bytes_do_not_raise(verifier: Verifier, data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for frame in ("{}", "Final Answer: {}", "#### {}\n", r"\boxed{{{}}}"):
        extract_answer(frame.replace("{}", text))
    read_value(text)
    assert verifier.judge("cot", text, "a gold that no text has").verdict is not Verdict.CORRECT
    assert verifier.judge("pot", text, "a gold that no text has").verdict is not Verdict.CORRECT
    verdict, row = judged_line(verifier, data)
    assert verdict in set(Verdict) and row.endswith(b"\n") and json.loads(row)["verdict"] == verdict


_PIECES = [
    "1",
    "9,",
    "$",
    "{",
    "\\frac{",
    "\\boxed{",
    "(",
    "- ",
    "a ",
    "=",
    ":",
    "1/",
    " 1 ",
    "Final Answer: ",
    "**",
    "#'",
]
_PIECES += [
    "the answer is ",
    "\\text{",
    "twenty ",
    "\n",
    " ",
    "Final Answer ",
    "Final ",
    "__a",
    "```\n",
    "import numpy\n",
    "A:\n",
]


@pytest.mark.parametrize("piece", _PIECES)
def test_long_inputs_take_linear_time(piece: str) -> None:
    start = time.perf_counter()
    extract_answer(piece * (200_000 // len(piece)))
    extract_answer("Final Answer" + piece * (200_000 // len(piece)) + "!")
    for code in programs_in(piece * (MAX_PROGRAM_CHARS // len(piece)) + "'"):
        refusal(code)
        without_unused_imports(code)
    for wrapped in ("{}", "5 {}%", "x {} = 5!", "5 a{}%"):
        read_value(wrapped.format("".join([piece] * (500 // len(piece)))))
    assert time.perf_counter() - start < 2.0
