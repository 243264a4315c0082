"""Takes the teeth out of sympy's habit of evaluating strings.

`sympify`, and with it nearly every sympy function given a string, ends in `parse_expr`, which is `eval`. In
a sandbox server it is replaced, before anything else is loaded, by one that first checks that the string is
arithmetic: numbers, names, operators, and calls of a few named functions.
"""

import ast
import re
from typing import Any

_MAX_CHARS = 500
_FUNCTION_NAMES = """
sqrt Abs abs sin cos tan asin acos atan exp log ln pi factorial binomial Rational Integer Float Eq Min Max floor ceiling
"""
_REFUSED_SYMBOLS = """
eval exec open compile input breakpoint exit quit help globals locals vars getattr setattr delattr print dir type object
super memoryview lambdify sympify parse_expr S
"""
_FUNCTIONS, _REFUSED = frozenset(_FUNCTION_NAMES.split()), frozenset(_REFUSED_SYMBOLS.split())
_ALLOWED_NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Load,
    ast.Compare,
    ast.Tuple,
    ast.List,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
)


def install() -> None:
    """Replaces sympy's evaluator of strings in this process."""
    import sympy
    from sympy import SympifyError
    from sympy.parsing import sympy_parser

    original = sympy_parser.parse_expr

    def guarded(text: str, *arguments: Any, **options: Any) -> Any:
        if not is_arithmetic(text):
            raise SympifyError(f"text is not evaluated here: {text[:60]!r}")
        return original(text, *arguments, **options)

    sympy_parser.parse_expr = guarded
    sympy.parse_expr = guarded  # type: ignore[assignment]
    sympy.parsing.parse_expr = guarded  # type: ignore[attr-defined]


def is_arithmetic(text: object) -> bool:
    """Whether a string holds nothing but numbers, symbols, operators and calls of known functions."""
    if type(text) is not str or len(text) > _MAX_CHARS:
        return False
    try:
        tree = ast.parse(
            re.sub(r"(?<=\d)(?=[A-Za-z(])", "*", text.strip().replace("^", "**").replace("=", "==")), mode="eval"
        )
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return all(_is_harmless(node) for node in ast.walk(tree))


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
    if isinstance(node, ast.Name):
        return node.id not in _REFUSED and "_" not in node.id
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    return isinstance(node, _ALLOWED_NODES)
