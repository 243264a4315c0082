"""Names of `math` without an import are there, and end up in the program that is stored."""

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier
from siked_ray.verification.math_names import with_math_import


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("answer = gcd(12, 18)", "from math import gcd\nanswer = gcd(12, 18)"),
        ("x = sqrt(16)\nanswer = ceil(x) * pi", "from math import ceil, pi, sqrt\nx = sqrt(16)\nanswer = ceil(x) * pi"),
        ("lcm = lcm(4, 6)\nanswer = lcm", "from math import lcm\nlcm = lcm(4, 6)\nanswer = lcm"),
        ("answer = math.floor(2.5)", "import math\nanswer = math.floor(2.5)"),
        (
            "Here it is:\n```python\nanswer = lcm(4, 6)\n```",
            "Here it is:\n```python\nfrom math import lcm\nanswer = lcm(4, 6)\n```",
        ),
        ("def solution():\n    return gcd(4, 6)", "from math import gcd\ndef solution():\n    return gcd(4, 6)"),
    ],
)
def test_the_import_is_written_in_once(program: str, expected: str) -> None:
    assert with_math_import(program) == expected
    assert with_math_import(expected) == expected


@pytest.mark.parametrize(
    "program",
    [
        "import math\nanswer = math.gcd(4, 6)",
        "from math import *\nanswer = gcd(4, 6)",
        "from sympy import gcd\nanswer = gcd(4, 6)",
        "def gcd(a, b):\n    return a if not b else gcd(b, a % b)\nanswer = gcd(4, 6)",
        "e = 5\ndist = e * 2\nanswer = dist",
        "total = 5\nanswer = pow(total, 2)",
        "answer = gcd(4,",
        "She takes the floor and pi",
        "",
    ],
)
def test_what_lacks_nothing_stays_as_it_is(program: str) -> None:
    assert with_math_import(program) == program


def test_programs_run_with_the_names(verifier: Verifier) -> None:
    for program, gold in [
        ("answer = lcm(4, 6)", "12"),
        ("print(floor(sqrt(17)))", "4"),
        ("answer = comb(5, 2) + factorial(3)", "16"),
        ("answer = math.ceil(2.1)", "3"),
        ("```python\nr = 2\nprint(round(pi * r ** 2, 2))\n```", "12.57"),
    ]:
        assert verifier.judge("pot", program, gold).verdict is Verdict.CORRECT, program


def test_several_values_are_compared_as_the_gold_means_them(verifier: Verifier) -> None:
    for program, gold, verdict in [
        ("answer = [5, 11]", "11, 5", Verdict.CORRECT),
        ("print('5, 11')", "11, 5", Verdict.CORRECT),
        ("answer = [5, 11]", "11; 5", Verdict.WRONG),
        ("answer = (5, 11)", "(5, 11)", Verdict.CORRECT),
        ("answer = (5, 11)", "(11, 5)", Verdict.WRONG),
        ("print({5, 11})", r"\{11, 5\}", Verdict.CORRECT),
        ("import numpy as np\nanswer = np.array([11.0, 5.0])", "11; 5", Verdict.CORRECT),
        ("import numpy as np\nanswer = np.array([11.0, 5.0])", "11", Verdict.UNPARSED),
        ("from sympy import *\nx = symbols('x')\nanswer = solve(x**2 - 16*x + 55, x)", "11, 5", Verdict.CORRECT),
        ("print('The answer is not 5')", "5", Verdict.UNPARSED),
    ]:
        assert verifier.judge("pot", program, gold).verdict is verdict, (program, gold)
