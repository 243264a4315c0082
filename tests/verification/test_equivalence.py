"""Equal and unequal answers, layer by layer."""

from collections.abc import Iterator

import pytest

from siked_ray.verification import equivalent
from siked_ray.verification.equivalence import Layer, compare_symbolically, compare_without_symbols
from siked_ray.verification.sandbox.client import SandboxPool

_SAME = [
    ("72", "72"),
    ("72.0", "72"),
    ("1,234.50", "1234.5"),
    ("$66", "66 dollars"),
    ("1e3", "1000"),
    ("-0", "0"),
    ("0.0", "0"),
    ("3/4", "0.75"),
    ("1 3/4", "1.75"),
    ("-(1/3)", "-1/3"),
    ("50%", "50"),
    ("50%", "0.5"),
    ("50%", "50 percent"),
    ("17.999999999999996", "18"),
    ("0.30000000000000004", "0.3"),
    ("5.551115123125783e-17", "0"),
    ("33.333333333", "33.33"),
    ("2/3", "0.67"),
    ("3:2", "6:4"),
    ("3:2", "3 to 2"),
    ("3:2", "3/2"),
    ("3:30 pm", "15:30"),
    ("3:30 p.m.", "3:30 PM"),
    ("3:30", "3:30 p.m."),
    ("6:01:00 p.m.", "6:01 pm"),
    ("12; 8", "12 and 8"),
    ("12 (boys); 8 (girls)", "12; 8"),
    ("twelve", "12"),
    ("Sunday", "sunday."),
    ("They are equal", "they are  equal"),
    ("9 (apples)", "9"),
    ("1000000000000000000001", "1,000,000,000,000,000,000,001"),
    (r"\frac{1}{2}", "0.5"),
    ("6th", "6"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    (r"\text{Tuesday}", "Tuesday"),
    (r"\text{(C)}", "(C)"),
    (r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}", r"\begin{pmatrix}1\\-2\end{pmatrix}"),
    (r"\frac{3}{4}\pi", r"\dfrac34 \pi"),
    (r"\{1, 2\}", r"\{2,1\}"),
    (r"0.\overline{3}", "1/3"),
    (r"0.1\overline{6}", "1/6"),
    (r"1,\!000,\!000", "1000000"),
    (r"16\text{ cm}^2", "16"),
    (r"16\pi\text{ cm}^2", r"16\pi"),
    (r"2516_{8}", "2516_8"),
    ("(0, 100)", "(0,100)"),
    ("(3, 4)", "3; 4"),
    (r"x=2 \text{ or } x=3", "2,3"),
    ("10 AM", "10:00 a.m."),
    ("10 a.m.", "10"),
    ("5 m", "5"),
    ("5 a day", "5"),
    ("5 x-rays", "5"),
    ("5 COVID-19 cases", "5"),
    ("60 km/h", "60"),
    ("12 (4*3)", "12"),
    ("50(cents)", "50"),
    ("-2, 1", "1,-2"),
    ("x = 1, x = -2", "-2 and 1"),
    ("1/4 or 25%", "0.25"),
]
_DIFFERENT = [
    ("72", "73"),
    ("5", "-5"),
    ("0", ""),
    ("", ""),
    ("0", "none"),
    ("1.5", "15"),
    ("1,5", "1.5"),
    ("1000000000000", "1000000000001"),
    ("33.3", "33.33"),
    ("2/3", "0.66"),
    ("2/3", "0.7"),
    ("0.001", "0.002"),
    ("1e-12", "2e-12"),
    ("50%", "5"),
    ("50%", "5000"),
    ("3:2", "2:3"),
    ("3:2", "1.5"),
    ("3:20", "6:40"),
    ("3:30 am", "3:30 pm"),
    ("6:01:00 p.m.", "6:1"),
    ("12; 8", "8; 12"),
    ("12; 8", "12"),
    ("12; 8", "12; 8; 4"),
    ("Sunday", "Monday"),
    ("5", "Sunday"),
    ("nan", "inf"),
    ("1/0", "1"),
    ("9" * 500, "9" * 501),
    ("1e999999999", "2"),
    (".5", "5"),
    (".75", "75"),
    ("3x", "3"),
    ("3i", "3"),
    ("3n^2", "3"),
    ("3_4", "34"),
    ("(10,100)", "10100"),
    ("(1,200)", "1200"),
    ("(2,5)", "[2,5]"),
    ("(2,5)", "{2,5}"),
    ("(1,2)", "(2,1)"),
    (r"x=2 \text{ or } x=3", "3"),
    ("10 p.m.", "10 a.m."),
    (r"6 \text{ p.m.}", r"6 \text{ a.m.}"),
    (r"1\frac12", r"\frac{11}{2}"),
    (r"\text{odd}", r"\text{even}"),
    ("5_8", "5_7"),
    ("-2, 1", "1, 2"),
    ("-2, 1", "(1,-2)"),
    ("12; 8", "8, 12"),
    ("x = 1, y = 2", "2, 1"),
    ("n!", "n"),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxPool]:
    with SandboxPool(algebra=True) as pool:
        yield pool


@pytest.mark.parametrize(("left", "right"), _SAME)
def test_same(left: str, right: str, sandbox: SandboxPool) -> None:
    assert equivalent(left, right, sandbox=sandbox) and equivalent(right, left, sandbox=sandbox)


@pytest.mark.parametrize(("left", "right"), _DIFFERENT)
def test_different(left: str, right: str, sandbox: SandboxPool) -> None:
    assert not equivalent(left, right, sandbox=sandbox) and not equivalent(right, left, sandbox=sandbox)


def test_symbolic_layer(sandbox: SandboxPool) -> None:
    for left, right, expected in [
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", True),
        ("20*5", "100", True),
        ("5-3", "2", True),
        ("5-3", "-3", False),
        ("x^2 + 2x + 1", "(x+1)^2", True),
        (r"2\pi", "6.2832", False),
        (r"\sqrt{16}", "4", True),
        (r"\frac{1}{6}\pi", r"\frac{1}{6\pi}", False),
        (r"\frac{1}{2}x+3", r"\frac{x}{2}+3", True),
        (r"\frac12(x+1)", r"\frac{x+1}{2}", True),
        (r"\dbinom{6}{3}", "20", True),
        ("2*sqrt(3)", r"2\sqrt{3}", True),
        ("1.7320508075688772", r"\sqrt{3}", True),
        ("2x", "2", False),
        ("5!", "120", True),
        ("5!", "5", False),
        ("2(k+1)", "2k+2", True),
        (r"2 \left(\sqrt{3}+1\right)", r"2\sqrt{3}+2", True),
        ("2x-3", "2x-5", False),
        ("2m-1", "2", False),
        ("6xy", "6", False),
        ("1/x", "1", False),
        ("3(4)", "3", False),
        (r"2\pi", "2pi", True),
    ]:
        assert compare_without_symbols(left, right) is None
        assert equivalent(left, right, sandbox=sandbox) is expected, (left, right)
        assert equivalent(right, left, sandbox=sandbox) is expected, (right, left)


def test_symbolic_layer_is_killed_at_its_deadline_and_starts_again(sandbox: SandboxPool) -> None:
    late = compare_symbolically("9^{9^{9^{9}}}+1", "2", sandbox, timeout_s=0.5)
    assert not late.equal and (late.timed_out or late.error)
    assert compare_symbolically("2+2", "4", sandbox, timeout_s=5.0).equal


@pytest.mark.parametrize(
    "pair", [("72", "73"), ("1,234", "1234"), ("12; 8", "3:2"), ("Sunday", "Monday"), ("a b", "5"), ("12", "B")]
)
def test_the_cheap_layers_decide_what_they_can(pair: tuple[str, str]) -> None:
    comparison = compare_without_symbols(*pair)
    assert comparison is not None and comparison.layer is not Layer.SYMBOLIC
