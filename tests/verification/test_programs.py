"""Programs: where their answer is found, what is no answer, and which tier runs them."""

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification import Verifier
from siked_ray.verification.program_text import programs_in, without_unused_imports

_CORRECT = [
    ("answer = 3 + 4", "7"),
    ("ans = 3 + 4", "7"),
    ("x = 3\ny = 4\nx + y", "7"),
    ("def solution():\n    return 7", "7"),
    ("def solution():\n    return 7\nanswer = solution()", "7"),
    ("def solution():\n    return 7\nprint(solution())", "7"),
    ("def solution():\n    answer = 7\n    return answer", "7"),
    ("def solution():\n    print(7)", "7"),
    ("print(7)", "7"),
    ("print('The answer is', 7)", "7"),
    ("print(1)\nprint('Final Answer:', 7)", "7"),
    ("print(f'She has {7} apples left.')", "7"),
    ("print('3 + 4 =', 7)", "7"),
    ("```python\nanswer = 7\n```", "7"),
    ("Let us see.\n```python\nanswer = 7\n```\nThis prints 8.", "7"),
    ("```\nanswer = 7\n```", "7"),
    ("```python\nx = 3\n```\nand then\n```python\nanswer = x + 4\n```\n```\n12\n```", "7"),
    ("```python\nanswer = 7", "7"),
    ("Here is the program:\nx = 3\nanswer = x + 4\nSo the answer is seven.", "7"),
    (" x = 3\nanswer = x + 4", "7"),
    ("    x = 3\n    answer = x + 4", "7"),
    ("answer = 7\n\nQuestion: what is next?", "7"),
    ("answer = 7\r\n", "7"),
    ("answer = 7.0", "7"),
    ("answer = 0.1 + 0.2", "0.3"),
    ("answer = 0", "0"),
    ("answer = -5", "-5"),
    ("answer = 10 ** 30", "1000000000000000000000000000000"),
    ("answer = '7 apples'", "7"),
    ("answer = f'{7:.2f}'", "7"),
    ("answer = [7]", "7"),
    ("answer = 12, 8", "12; 8"),
    ("answer = '3:2'", "3:2"),
    ("answer = 50.0", "50%"),
    ("import math\nanswer = math.ceil(6.2)", "7"),
    ("from math import *\nanswer = ceil(6.2)", "7"),
    ("answer = math.ceil(6.2)", "7"),
    ("from fractions import Fraction\nanswer = Fraction(1, 2)", "1/2"),
    ("from decimal import Decimal\nanswer = Decimal('1.10')", "1.1"),
    ("import statistics\nanswer = statistics.mean([6, 8])", "7"),
    ("import numpy as np\nanswer = 7", "7"),
    ("import numpy as np\nanswer = np.mean([6, 8])", "7"),
    ("import numpy as np\nanswer = np.linalg.solve(np.array([[1, 1], [1, -1]]), np.array([10, 4]))[0]", "7"),
    ("from sympy import symbols, solve, Eq\nx = symbols('x')\nanswer = solve(Eq(x + 1, 8), x)", "7"),
    ("from sympy import *\nx, y = symbols('x y')\ns = solve([x + y - 10, x - y - 4], [x, y])\nanswer = s[x]", "7"),
    ("from sympy.abc import x\nfrom sympy.solvers import solve\nanswer = solve(x - 7, x)[0]", "7"),
    ("import sympy as sp\nanswer = sp.sqrt(49)", "7"),
    ("import sympy\nanswer = sympy.Rational(7, 2)", "3.5"),
    ("from sympy import *\nanswer = sqrt(2)", "1.41421356237310"),
    ("from sympy import *\nprint(solve('x - 7')[0])", "7"),
    ("x = Symbol('x')\nsolution = solve_it(Eq(x + 1, 8), x)\nans = solution[x]", "7"),
    ("def gen():\n    yield 7\nanswer = next(gen())", "7"),
    ("a = [1]\ndel a\nanswer = 7", "7"),
    ("class Box:\n    def __init__(self, n):\n        self.n = n\nanswer = Box(7).n", "7"),
    ("if __name__ == '__main__':\n    print(7)", "7"),
    ("import random\nrandom.seed(1)\nanswer = 7", "7"),
    ("from datetime import date\nanswer = (date(2024, 1, 8) - date(2024, 1, 1)).days", "7"),
    ("try:\n    answer = 1 / 0\nexcept ZeroDivisionError:\n    answer = 7", "7"),
    ("ans = 4 + 3\n\n\n# Question: next?\nans = 29", "7"),
    ("def solution():\n    return 7\n\n\nQ: next?\n\ndef solution():\n    return 29", "7"),
    ("# Question: this one\nans = 7", "7"),
    ("```python\nans = 7\n```\n\nQuestion: next?\n```python\nans = 29\n```", "7"),
    ("```python\nprint(3)\n```\n```output\n3\n```\n```python\nprint(7)\n```\n```output\n7\n```", "7"),
    ("```python\nanswer = 7```", "7"),
    (">>> x = 3\n>>> answer = x + 4\n>>> print(answer)\n7", "7"),
    ("def answer():\n    return 7\nprint(answer())", "7"),
    ("print('Let us see')\nprint(7)", "7"),
    ("print('Cost:', 3)\nprint('Answer:', 7)", "7"),
    ("print({'x': -7})", "-7"),
    ("answer = '(B)'", "B"),
    ("print('The answer is B')", "(B)"),
    ("from sympy import *\nprint(sqrt(2))", "1.41421356237310"),
    ("from sympy import *\nprint(solve('x - 7'))", "7"),
    ("import math\nanswer = math.sqrt(3)", r"\sqrt{3}"),
    ("import math\nanswer = math.pi / 2", r"\frac{\pi}{2}"),
    ("answer = '2*sqrt(3)'", r"2\sqrt{3}"),
    ("answer = '1 + 2i'", "1+2i"),
    ("answer = round(2.675, 2)", "2.67"),
    ("answer = round(1234, -2) + round(number=0.125, ndigits=2)", "1200.12"),
    ("round = 7\nanswer = max(round, 2)", "7"),
    # what the last line makes of the variable counts before it, if it is one number
    ("answer = 7\nprint(3)", "7"),
    ("answer = 7\nx = 3\nx", "7"),
    ("print(3)\nanswer = 7", "7"),
    ("answer = 6.7\nprint(round(answer))", "7"),
    ("answer = 6.7\nprint(\n    'boxes:',\n    math.ceil(answer),\n)", "7"),
    ("answer = 6.7\nround(answer)", "7"),
    ("answer = [5, 7]\nprint(answer[1])", "7"),
    ("answer = 7\nanswer == 7", "7"),
    ("answer = 7\nprint('Done')", "7"),
    ("answer = 7\nprint('In 3 days:', answer)", "7"),
    ("print(5)\nanswer = 7", "7"),
    ("from sympy import *\nx, y = symbols('x y')\nanswer = solve([x - 7, y - 3], [x, y])\nprint(answer[x])", "7"),
    # other readings of a completion whose first one raises, and other tags than fences
    ("```python\nx = 1 / 0\n```\n```output\nZeroDivisionError\n```\n```python\nprint(7)\n```", "7"),
    (
        "```python\nx = 3\n```\n```python\ny = z\n```\n```output\nNameError: z\n```\n```python\nx + 4\n```",
        "7",
    ),
    ("<llm-code>\nx = 3\n</llm-code>\nThen\n<llm-code>\nx + 4\n</llm-code>\n<llm-code-output>\n7", "7"),
    ("<|text|>So<|endofblock|><|code|>\n3 + 4<|endofblock|><|execution|>7<|endofblock|>", "7"),
    ("```python\nprint(7)\n```<|im_end|>", "7"),
    # formulas, where the gold is one
    ("from sympy import *\nx = symbols('x')\nprint(expand((x + 2)*(x + 5)))", "x^2+7x+10"),
    ("from sympy import *\nn, k = symbols('n k')\nanswer = 2*n*log(k)", r"2n\ln k"),
    ("from sympy import *\nexpand((2 + I)**2)", "3+4i"),
    ("from sympy import *\nprint(Matrix([[1, 2], [0, 3]]) * Matrix([1, 3]))", r"\begin{pmatrix} 7 \\ 9 \end{pmatrix}"),
    # what the first tier lacks and CPython has
    ("x = 0\nfor i in range(2_000_000):\n    x += 1\nanswer = x", "2000000"),
    ("answer = pow(3, -1, 7)", "5"),
    ("from datetime import datetime\nanswer = datetime.strptime('10:30 AM', '%I:%M %p').minute", "30"),
    ("from decimal import Decimal, getcontext\ngetcontext().prec = 3\nanswer = Decimal(1) / Decimal(3)", "0.333"),
    ("import numpy as np\nanswer = np.linalg.matrix_power(np.array([[1, 1], [0, 1]]), 7)[0][1]", "7"),
    ("import numpy as np\nanswer = np.degrees(np.arccos(0.0)) + np.trace(np.diag([3, 4]))", "97"),
    ("from sympy.ntheory.modular import crt\nanswer = crt([3, 5], [2, 3])[0]", "8"),
    ("from sympy.functions.combinatorial.numbers import nC, nP\nanswer = nC(5, 2) + nP(5, 2)", "30"),
    ("from sympy import *\nanswer = deg(pi) + divisor_sigma(6)", "192"),
    ("from sympy.ntheory.modular import solve_congruence\nanswer = solve_congruence((1, 2), (1, 3))[0]", "1"),
    ("import numpy as np\nanswer = np.linalg.matrix_rank(np.matrix([[1, 2], [2, 4]]))", "1"),
    ("import re\nimport numpy as np\nanswer = np.sum([float(format(n, '.1f')) for n in (3, 4)])", "7"),
    ("import re\nanswer = int(re.compile(r'\\d+').findall('7 eggs')[0])", "7"),
    ("from sympy import *\nanswer = sum(floor(log(n, 2)) for n in range(1, 257))", "1546"),
    ("d = {7: 2, 8: 1}\nanswer = max(d, key=d.get)", "7"),
    ("n = [7, 7, 8]\nanswer = max(set(n), key=n.count)", "7"),
    ("answer = next(n for n in range(10) if n > 6)", "7"),
    ("answer = ''.join(map(str.strip, [' 7 ']))", "7"),
    ("answer = 7 if (7.0).is_integer() and callable(len) else 8", "7"),
    ("import calendar\nanswer = calendar.monthrange(2024, 2)[1]", "29"),
    ("import operator, string\nanswer = operator.add(5, 2) + len(string.digits) - 10", "7"),
    ("import heapq, copy\nh = [8, 7]\nheapq.heapify(h)\nanswer = heapq.heappop(copy.copy(h))", "7"),
    ("import sys\nsys.setrecursionlimit(5000)\nanswer = 7", "7"),
    ("import numpy as np\nn = np.arange(5)\nanswer = n[n > 2].sum()", "7"),
    ("import numpy as np\nx = 0\ndef f(n):\n    global x\n    x += n\nf(np.int64(7))\nanswer = x", "7"),
]
_NO_ANSWER = [
    "",
    "   \n",
    "x = 7",
    "pass",
    "answer = None",
    "answer = True",
    "answer = 7 == 7",
    "answer = [7, 8]",
    "answer = []",
    "answer = {'a': 7, 'b': 8}",
    "answer = 7j",
    "answer = float('nan')",
    "answer = float('inf')",
    "answer = ''",
    "answer = 'many'",
    "print(7)\nprint(8)",
    "print('7 and 8')",
    "def solution():\n    pass",
    "from sympy import *\nx = symbols('x')\nanswer = solve(x**2 - 15*x + 56, x)",
    "from sympy import *\nanswer = oo",
    "from sympy import *\nx = symbols('x')\nanswer = x + 7",
    "from sympy import *\nm = symbols('m')\nprint(7*m)",
    "from sympy import *\nh = symbols('h')\n7 - h",
    "from sympy import *\nanswer = Symbol('7')",
    "from sympy import *\nanswer = Function('f')(7)",
    "from sympy import *\nanswer = 7*I",
    "from sympy import *\nanswer = Matrix([7])",
]
_ERRORS = [
    "answer = 7 # \ud800\n)",
    "answer = '\x00' +",
    "answer = 1 / 0",
    "answer = undefined",
    "answer = 7\nundefined",
    "answer = 7\n[7][1]",
    "answer = (",
    "this is prose, not a program",
    "raise ValueError('7')",
    "7 apples",
]


@pytest.mark.parametrize(("completion", "gold"), _CORRECT)
def test_correct(verifier: Verifier, completion: str, gold: str) -> None:
    judgement = verifier.judge("pot", completion, gold)
    assert judgement.verdict is Verdict.CORRECT, judgement


@pytest.mark.parametrize("completion", _NO_ANSWER)
def test_none_or_several_values_are_unparsed(verifier: Verifier, completion: str) -> None:
    judgement = verifier.judge("pot", completion, "7")
    assert (judgement.verdict, judgement.predicted) == (Verdict.UNPARSED, None), judgement


@pytest.mark.parametrize(
    ("printed", "number"),
    [
        ("sqrt(2)", "2"),
        ("3*pi", "3"),
        ("log(5)", "5"),
        ("5*I", "5"),
        ("x + 2", "2"),
        ("x**2", "2"),
        ("'Area', 2*x", "2"),
    ],
)
def test_no_number_is_picked_out_of_a_printed_formula(verifier: Verifier, printed: str, number: str) -> None:
    code = f"from sympy import *\nx = symbols('x')\nprint({printed})"
    assert verifier.judge("pot", code, number).verdict is not Verdict.CORRECT
    text = printed.replace("'", "")
    assert verifier.judge("pot", f"print('{text}')", number).verdict is not Verdict.CORRECT


def test_no_other_reading_of_what_was_refused(verifier: Verifier) -> None:
    for block in (
        "import os\nos.getcwd()",
        "try:\n    import secrets\nexcept ImportError:\n    pass\n1 / 0",
        "x = (0)._y",
    ):
        completion = f"```python\n{block}\n```\n```output\nNameError\n```\n```python\nimport sympy\nprint(7)\n```"
        assert verifier.judge("pot", completion, "7").verdict is Verdict.ERROR, block


def test_a_loop_is_ended_in_both_tiers(verifier: Verifier) -> None:
    for code in ("while True: pass", "class Box:\n    pass\nwhile True: pass"):
        assert verifier.judge("pot", code, "7").verdict is Verdict.TIMEOUT


@pytest.mark.parametrize("completion", _ERRORS)
def test_errors(verifier: Verifier, completion: str) -> None:
    assert verifier.judge("pot", completion, "7").verdict is Verdict.ERROR


def test_a_program_gives_the_same_answer_every_time(verifier: Verifier) -> None:
    code = "import random, datetime, time\nanswer = random.random() + datetime.date.today().toordinal() + time.time()"
    assert len({verifier.judge("pot", code, "7").predicted for _ in range(3)}) == 1
    code = "import numpy, random, datetime\nanswer = numpy.pi + random.random() + datetime.datetime.now().year"
    assert len({verifier.judge("pot", code, "7").predicted for _ in range(3)}) == 1
    code = "import numpy, datetime\nanswer = datetime.date.today().year"
    assert verifier.judge("pot", code, "2024").verdict is Verdict.CORRECT


def test_sessions_do_not_share_names(verifier: Verifier) -> None:
    assert verifier.judge("pot", "answer = 7", "7").verdict is Verdict.CORRECT
    assert verifier.judge("pot", "print('answer' if 'answer' in dir() else '')", "7").verdict is not Verdict.CORRECT
    assert verifier.judge("pot", "from sympy import *\nSymbol.leak = 7\nanswer = 7", "7").verdict is not None
    assert verifier.judge("pot", "from sympy import *\nanswer = Symbol.leak", "7").verdict is Verdict.ERROR


def test_unused_imports_cost_no_second_tier() -> None:
    assert without_unused_imports("import numpy as np\nans = 1") == "pass\nans = 1"
    assert without_unused_imports("import numpy as np\nans = np.pi") == "import numpy as np\nans = np.pi"


def test_prose_around_a_program_is_cut_off() -> None:
    assert list(programs_in("Sure.\nx = 1\nanswer = x\nDone."))[-1] == "x = 1\nanswer = x"
