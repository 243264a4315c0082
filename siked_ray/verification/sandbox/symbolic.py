"""Whether two formulas are the same: part by part, expressions by their values. The server kills at a deadline.

Numbers are equal exactly, or within a relative 10⁻⁹ where one is a decimal; expressions with variables if they agree
at several points; equations if one is a multiple of the other. An equation equals a value only if its left-hand side
is a mere name.
"""

from collections.abc import Callable
from typing import Any

from siked_ray.verification.sandbox.formulas import Formula, read_formula

_DIGITS = 50
_EXACT = 1e-35
_DECIMAL = 1e-9
#: Values at which expressions with variables are compared: (numerator, denominator) of the first variable's.
_POINTS = ((37, 23), (71, 31), (113, 47), (19, 53))


def same(predicted: str, gold: str) -> bool:
    """Whether two texts are formulas, each read whole, with the same meaning."""
    left, right = read_formula(predicted), read_formula(gold)
    return left is not None and right is not None and _same(left, right)


def _same(left: Formula, right: Formula) -> bool:
    if left.kind != right.kind:
        return _value_of_name(left, right) or _value_of_name(right, left)
    if left.kind == "expression":
        return _same_expression(left, right)
    if left.kind == "equation":
        return _same_equation(left, right)
    if left.kind == "comparison":
        return _same_comparison(left.expression, right.expression)
    if len(left.parts) != len(right.parts) or (left.kind == "tuple" and left.brackets != right.brackets):
        return False
    if left.kind == "tuple":
        return all(map(_same, left.parts, right.parts))
    return _same_in_any_order(left.parts, right.parts, _same)


def _value_of_name(equation: Formula, value: Formula) -> bool:
    """`x = 5` is 5, `f(2) = 5` too, but `3x = 15` is not 15, and `y = 2x` is not 2x."""
    import sympy

    if equation.kind != "equation" or value.kind != "expression":
        return False
    name, right = equation.parts
    if name.kind != "expression" or right.kind != "expression" or _variables(right.expression):
        return False
    is_name = isinstance(name.expression, sympy.Symbol | sympy.core.function.AppliedUndef)
    return is_name and _same_expression(right, value)


def _same_in_any_order(left: tuple[Any, ...], right: tuple[Any, ...], is_same: Callable[[Any, Any], bool]) -> bool:
    remaining = list(right)
    for part in left:
        partner = next((index for index, other in enumerate(remaining) if is_same(part, other)), None)
        if partner is None:
            return False
        remaining.pop(partner)
    return True


def _same_expression(left: Formula, right: Formula) -> bool:
    if _equal(left.expression, right.expression):
        return True
    if left.is_percent != right.is_percent:
        scales = (100 if left.is_percent else 1, 100 if right.is_percent else 1)
        return _equal(left.expression / scales[0], right.expression / scales[1])
    return False


def _equal(left: Any, right: Any) -> bool:
    import sympy

    if isinstance(left, sympy.MatrixBase) or isinstance(right, sympy.MatrixBase):
        is_shape = (
            isinstance(left, sympy.MatrixBase) and isinstance(right, sympy.MatrixBase) and left.shape == right.shape
        )
        return is_shape and all(map(_equal, left, right))
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return _same_sets(left, right) if type(left) is type(right) else False
    left, right = _with_imaginary_unit(left), _with_imaginary_unit(right)
    if left == right:
        return True
    if left.free_symbols != right.free_symbols:
        return False
    tolerance = _DECIMAL if left.has(sympy.Float) or right.has(sympy.Float) else _EXACT
    if not left.free_symbols:
        return _near(left, right, tolerance) is True
    found = [_near(left.subs(point), right.subs(point), tolerance) for point in _points(left)]
    return found.count(True) >= 2 and False not in found


def _same_sets(left: Any, right: Any) -> bool:
    """Of what is no expression: `\\emptyset`, `\\mathbb{R}`, `\\pm 5` (a set of two)."""
    import sympy

    if isinstance(left, sympy.Set) and left.is_FiniteSet and right.is_FiniteSet and left.args and right.args:
        is_size = len(left.args) == len(right.args)
        return is_size and _same_in_any_order(left.args, right.args, _equal)
    return bool(left == right)


def _with_imaginary_unit(expression: Any) -> Any:
    import sympy

    return expression.subs(sympy.Symbol("i"), sympy.I)


def _variables(expression: Any) -> set[Any]:
    return set(getattr(expression, "free_symbols", ()))


def _points(*expressions: Any) -> list[dict[Any, Any]]:
    """Values for the variables, different for each of them, and none of them special."""
    import sympy

    names = sorted(set().union(*map(_variables, expressions)), key=str)
    return [
        {name: sympy.Rational(top + 7 * index, bottom + 2 * index) for index, name in enumerate(names)}
        for top, bottom in _POINTS
    ]


def _near(left: Any, right: Any, tolerance: float) -> bool | None:
    """Whether two numbers agree relative to the larger one; None where one of them has no finite value."""
    import sympy

    left, right = sympy.N(left, _DIGITS), sympy.N(right, _DIGITS)
    scale = (
        max(abs(left), abs(right))
        if left.is_finite and right.is_finite and left.is_number and right.is_number
        else None
    )
    if scale is None or (not scale.is_Float and not scale.is_Integer and not scale.is_Rational):
        return None
    return bool(abs(left - right) <= tolerance * scale)


def _same_equation(left: Formula, right: Formula) -> bool:
    """Whether one equation is a multiple of the other; of names for lists or sets, whether the parts are the same."""
    if all(map(_same, left.parts, right.parts)):
        return True
    if any(part.kind != "expression" for part in (*left.parts, *right.parts)):
        return False
    differences = [parts[0].expression - parts[1].expression for parts in (left.parts, right.parts)]
    return _ratio(*differences) is not None


def _ratio(left: Any, right: Any) -> Any:
    """The constant by which two expressions differ, None if there is none."""
    import sympy

    left, right = _with_imaginary_unit(left), _with_imaginary_unit(right)
    if not left.free_symbols or left.free_symbols != right.free_symbols:
        return None
    ratios = []
    for point in _points(left):
        bottom, top = sympy.N(right.subs(point), _DIGITS), sympy.N(left.subs(point), _DIGITS)
        if bottom.is_number and top.is_number and bottom.is_finite and top.is_finite and bottom != 0 and top != 0:
            ratios.append(top / bottom)
    if len(ratios) < 2 or any(_near(ratio, ratios[0], _EXACT * 1e5) is not True for ratio in ratios[1:]):
        return None
    return ratios[0]


def _same_comparison(left: Any, right: Any) -> bool:
    """`x > 5` is `5 < x` and `2x > 10`; a chain (`1 < x < 5`) is its comparisons in any order."""
    chains = [tuple(one._unsorted_args) if hasattr(one, "_unsorted_args") else (one,) for one in (left, right)]
    if len(chains[0]) != len(chains[1]):
        return False
    return _same_in_any_order(chains[0], chains[1], _same_relation)


def _same_relation(left: Any, right: Any) -> bool:
    import sympy

    greater = {sympy.StrictGreaterThan: (1, "strict"), sympy.GreaterThan: (1, "wide"), sympy.Unequality: (0, "unequal")}
    greater |= {sympy.StrictLessThan: (-1, "strict"), sympy.LessThan: (-1, "wide")}
    if type(left) not in greater or type(right) not in greater or greater[type(left)][1] != greater[type(right)][1]:
        return False
    ratio = _ratio(left.lhs - left.rhs, right.lhs - right.rhs)
    signs = greater[type(left)][0] * greater[type(right)][0]
    return ratio is not None and (signs == 0 or bool(ratio.is_real and ratio * signs > 0))


def warm_up() -> None:
    """Loads the grammar and fills caches, so that a child neither opens files nor waits for it."""
    import logging

    logging.disable(logging.CRITICAL)
    for left, right in (
        (r"\frac{\sqrt{2}}{2}", "1/sqrt(2)"),
        (r"\{1, 2\}", r"\{2, 1\}"),
        ("x^2 + 1", "1 + x^2"),
        (r"(1, \sqrt{2})", r"(1, \sqrt{2})"),
        (r"x \geq 0", r"0 \le x"),
        (r"1 < x < \pi", r"1 < x < \pi"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("20*5", "100"),
        (r"2\pi", "6.283185307179586"),
        (r"\ln 2 + \sin 30^\circ + \binom{5}{2} + 5! + |{-5}| + \lfloor 5.7 \rfloor", "1"),
        ("3x + 4y = -14", "3x + 4y + 14 = 0"),
        (r"\sqrt{25}\%", "5"),
        (r"e^{i\pi} + \log_2 8", "2"),
    ):
        same(left, right)
