"""Programs that make libraries import what they import lazily: in the jail they cannot open files any more."""

from siked_ray.verification.sandbox.program import run

_WARM_UP_PLAIN = (
    "from fractions import Fraction\nimport statistics\nx = statistics.mean([1, 2])\nanswer = Fraction(1, 2)",
    "from datetime import datetime\nanswer = datetime.strptime('2024-02-01', '%Y-%m-%d').day",
    "from datetime import datetime\nanswer = datetime.strptime('Mon Feb 1 1:30 PM', '%a %b %d %I:%M %p').day",
)
_WARM_UP_NUMPY = (
    "a = np.array([[1, 1], [1, -1]])\nanswer = np.linalg.solve(a, [5, 1])[0] + np.mean(a)",
    "a = np.arange(5)\nanswer = a[a > 2].sum() + a.mean() + a.std() + np.median(a)",
    "answer = np.roots([1, 2])[0] + np.array([[1, 2]]).sum(axis=0)[0]",
)
_WARM_UP_SYMPY = (
    "answer = solve(x**2 - 4, x)[0]",
    "answer = solve([Eq(x + y, 5), Eq(x - y, 1)], [x, y])[x]",
    "answer = solve([x**2 + y - 5, x - y + 1], [x, y])[0][0]",
    "answer = solve(exp(x) - 3, x)[0]",
    "answer = solve(sin(x) - Rational(1, 2), x)[0]",
    "answer = solve(x**2 > 4, x)",
    "answer = solve(1.2*x - 3.4, x)[0]",
    "answer = list(solveset(Eq(x**2, 9), x, S.Reals))[0]",
    "answer = list(linsolve([x + y - 5, x - y - 1], [x, y]))[0][0]",
    "answer = list(nonlinsolve([x*y - 6, x - y - 1], [x, y]))[0][0]",
    "answer = nsolve(cos(x) - x, x, 1)",
    "answer = integrate(x**2 * exp(x), (x, 0, 1)) + diff(x**3, x).subs(x, 2) + limit(sin(x)/x, x, 0)",
    "answer = summation(x, (x, 1, 10)) + Sum(1/x, (x, 1, 5)).doit() + factorial(5) + binomial(5, 2)",
    "answer = simplify((x**2 - 1)/(x - 1)) + factor(x**2 - 1) + expand((x + 1)**2) + trigsimp(sin(x)**2 + cos(x)**2)",
    "answer = Matrix([[1, 2], [3, 4]]).det() + Matrix([[1, 2], [3, 4]]).inv()[0]",
    "answer = sqrt(2).evalf() + N(pi, 20) + nsimplify(0.5) + Poly(x**2, x).degree() + sum(factorint(60).values())",
    "answer = solve_univariate_inequality(x - 3 > 0, x)",
    "answer = reduce_inequalities([x > 1, x < 3], x)",
    "answer = latex(x**2) + str(series(exp(x), x, 0, 3)) + pretty(x/2)",
    "answer = x**2/2 + 3*exp(x) - log(x)",
    "answer = 3 + 4*I",
    "answer = Matrix([[1, x], [Rational(1, 2), 3]])",
    "answer = roots(x**3 - 6*x**2 + 11*x - 6, x)",
    "answer = prime(10) + len(list(primerange(1, 50))) + len(divisors(60)) + totient(10) + gcd(12, 18) + ilcm(4, 6)",
    "answer = sympify('1/2')",
    "answer = Rational('1/3') + S('x + 1').subs(x, '2')",
    "answer = rsolve(Function('f')(x + 1) - 2*Function('f')(x), Function('f')(x), {Function('f')(0): 1})",
    "answer = Piecewise((x, x > 0), (0, True)).subs(x, 3) + Max(1, 2) + floor(Rational(7, 2)) + Mod(7, 3) + Abs(-3)",
)


def warm_up_programs(*, algebra: bool) -> None:
    """Run them, before any program of anybody's."""
    import _strptime  # noqa: F401  # what datetime imports when it first reads a date

    for code in _WARM_UP_PLAIN:
        run(code, algebra=algebra)
    if algebra:
        for code in _WARM_UP_NUMPY:
            run("import numpy as np\n" + code, algebra=True)
        for code in _WARM_UP_SYMPY:
            run("from sympy import *\nimport sympy\nx, y = symbols('x y')\n" + code, algebra=True)
