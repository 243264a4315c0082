"""Runs a checked program in a jailed child and says what it found, as plain text."""

import ast
import io
import random
import re
from types import FunctionType
from typing import Any

from siked_ray.verification.monty_runner import ANSWER_VARIABLES, ASSUMED_NAMES
from siked_ray.verification.plain import (
    BLOCK_END,
    Findings,
    FormulaText,
    NotAnAnswer,
    Outcome,
    outcome_of,
    plain_text,
    shows_variable,
)
from siked_ray.verification.sandbox import granted, guard

_MAX_PRINTED_CHARS = 20_000
_MAX_FORMULA_CHARS = 300
_DIGITS = 20
_SYMBOL_NAME = re.compile(r"[A-Za-z]+(?:_?\d)?")
_FACTOR_SPACE = re.compile(r"(?<=\d) (?=[A-Za-z])")


def run(code: str, *, algebra: bool) -> dict[str, Any]:
    """{"answers": […]} or {"verdict", "reason"}; raises what the program raises. `algebra`: with sympy and numpy."""
    try:
        tree = guard.checked_tree(code)
    except guard.Refused as error:
        return {"verdict": "error", "reason": f"refused: {error}"}
    except (SyntaxError, ValueError, RecursionError) as error:
        return {"verdict": "error", "reason": f"{type(error).__name__}: {error}"[:200]}
    try:
        outcome = outcome_of(_execute(tree, algebra, shows_variable(code)), _plain)
    except Exception as error:
        return {"verdict": "error", "reason": f"{type(error).__name__}: {error}"[:200], "raised": True}
    return _reply(outcome)


def _reply(outcome: Outcome) -> dict[str, Any]:
    if outcome.verdict is not None:
        return {"verdict": str(outcome.verdict), "reason": outcome.reason}
    is_formula = any(type(answer) is FormulaText for answer in outcome.answers)
    return {"answers": list(outcome.answers), "is_formula": is_formula}


def _execute(tree: ast.Module, algebra: bool, shows_it: bool) -> Findings:
    printed = io.StringIO()
    shown: list[Any] = []
    names = _namespace(printed, shown, algebra)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    random.seed(0)  # here, because Python draws a new seed in every forked child
    exec(compile(tree, "program", "exec"), names)  # in a jailed child, on a checked tree
    expression = None
    if isinstance(last, ast.Expr):
        expression = eval(compile(ast.Expression(last.value), "program", "eval"), names)
    values = (names.get(name) for name in ANSWER_VARIABLES)
    variable = next((value for value in values if value is not None and type(value) is not FunctionType), None)
    returned = None
    solution = names.get("solution")
    if variable is None and expression is None and not printed.getvalue().strip() and callable(solution):
        returned = solution()
    return Findings(
        variable=_unpacked(variable),
        expression=_unpacked(expression),
        returned=_unpacked(returned),
        printed=printed.getvalue(),
        shown=_unpacked(shown[0]) if len(shown) == 1 and _holds_sympy(shown[0]) else None,
        shows_variable=shows_it,
    )


def _unpacked(value: object) -> object:
    """An array of numpy's with one axis, and a set or tuple of sympy's, as a list of its values."""
    module, name = type(value).__module__ or "", type(value).__name__
    if (module, name) == ("numpy", "ndarray"):
        return value.tolist() if value.ndim == 1 and value.size > 1 else value  # type: ignore[attr-defined]
    is_listed = module.startswith("sympy.") and name in ("FiniteSet", "Tuple")
    return list(value.args) if is_listed else value  # type: ignore[attr-defined]


def _holds_sympy(value: object) -> bool:
    """Whether a printed value is sympy's, or a container with one of sympy's in it."""
    items = list(value.values()) if type(value) is dict else value
    if type(items) in (list, tuple, set):
        return any(type(item).__module__.startswith("sympy.") for item in items)  # type: ignore[attr-defined]
    return type(value).__module__.startswith("sympy.")


def _namespace(printed: io.StringIO, shown: list[Any], algebra: bool) -> dict[str, Any]:
    """Builtins, and the names of sympy and math that program-of-thought prompts take for granted."""
    modules = granted.resolve(algebra=algebra)

    def show(*values: Any, sep: str = " ", end: str = "\n", **_: Any) -> None:
        if printed.tell() > _MAX_PRINTED_CHARS:
            raise RuntimeError("too much printed")
        only = values[0] if len(values) == 1 else None
        if type(only) is str and only == BLOCK_END:
            shown.clear()
        else:
            shown.append(only)
        printed.write(str(sep).join(map(str, values)) + str(end))

    names: dict[str, Any] = {"math": modules["math"], "statistics": modules["statistics"]}
    if algebra:
        sympy_names = vars(modules["sympy"])
        names.update({name: sympy_names[name] for name in ASSUMED_NAMES if name in sympy_names})
        names.update(np=modules["numpy"], solve_it=_solve_it)
    names["__builtins__"] = {**granted.builtins(), "print": show, "__import__": granted.make_import(modules)}
    names["__name__"] = "__main__"
    return names


def _solve_it(equation: Any, variable: Any) -> Any:
    """The helper that program-of-thought prompts assume: the first solution as a dict, None for what has none."""
    import sympy

    solutions = sympy.solve(equation, variable, dict=True)
    if solutions:
        return solutions[0]
    return dict.fromkeys(variable if isinstance(variable, list) else [variable])


def _plain(value: object) -> str | None:
    """Like `plain_text`, and the numbers of sympy and numpy: their own classes only, nothing derived from them."""
    text = plain_text(value)
    if text is None and type(value).__module__ == "numpy":
        return _numpy_text(value)
    return text if text is not None else _sympy_text(value)


def _numpy_text(value: Any) -> str | None:
    import numpy

    if isinstance(value, numpy.ndarray) and value.size != 1:
        raise NotAnAnswer(f"several values ({value.size})")
    return plain_text(value.item())


def _sympy_text(value: object) -> str | None:
    if not type(value).__module__.startswith("sympy."):
        return None
    import sympy

    if isinstance(value, sympy.MatrixBase):
        return _formula_text(value)
    if not isinstance(value, sympy.Basic):
        return None
    if isinstance(
        value, sympy.logic.boolalg.BooleanAtom | sympy.logic.boolalg.BooleanFunction | sympy.core.relational.Relational
    ):
        raise NotAnAnswer("a truth value is no answer")
    if isinstance(value, sympy.FiniteSet | sympy.Tuple):
        if len(value.args) != 1:
            raise NotAnAnswer(f"several values ({len(value.args)})")
        value = value.args[0]
    if isinstance(value, sympy.Integer):
        return plain_text(int(value))
    if isinstance(value, sympy.Rational) and value.is_finite:
        return f"{plain_text(int(value.p))}/{plain_text(int(value.q))}"
    return _real_text(value)


def _real_text(value: Any) -> str:
    """A real number given by a formula as digits; a complex number, or what has variables, as a formula."""
    import sympy

    if not isinstance(value, sympy.Expr):
        raise NotAnAnswer(f"{str(value)[:60]} is no number")
    if not value.is_number:
        return _formula_text(value)
    digits = sympy.N(value, _DIGITS)
    if digits.is_real is False and digits.is_finite:
        return _formula_text(value)
    if not isinstance(digits, sympy.Float | sympy.Integer | sympy.Rational) or not digits.is_finite:
        raise NotAnAnswer(f"{str(value)[:60]} is no real number")
    text = str(digits)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _formula_text(value: Any) -> FormulaText:
    """In LaTeX; only of numbers, and symbols with the names of symbols: `Symbol('42')` is no 42."""
    import sympy

    names = [symbol.name for symbol in value.free_symbols]
    if not all(map(_SYMBOL_NAME.fullmatch, names)) or value.atoms(sympy.core.function.AppliedUndef):
        raise NotAnAnswer(f"{str(value)[:60]} is no number")
    text = sympy.latex(value, ln_notation=True)
    if len(text) > _MAX_FORMULA_CHARS:
        raise NotAnAnswer("a long formula")
    return FormulaText(_FACTOR_SPACE.sub("", text))
