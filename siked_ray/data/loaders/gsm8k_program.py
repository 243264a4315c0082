"""Programs out of GSM8K's calculator annotations: `<<48/2=24>>`, `<<48+24=72>>` →

    v1 = 48 / 2
    v2 = 48 + v1
    answer = v2

A number becomes a variable only where it can hardly be anything else: it is the result of exactly one earlier step
and does not occur in the question. Solutions that reason outside of their annotations give no program at all.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
#: Words of a question that name a number.
_NUMBER_WORDS = (
    (0, "zero no"),
    (1, "one once single"),
    (2, "two twice double doubled half pair both"),
    (3, "three triple tripled third"),
    (4, "four quarter fourth"),
    (5, "five fifth"),
    (6, "six"),
    (7, "seven"),
    (8, "eight"),
    (9, "nine"),
    (10, "ten"),
    (11, "eleven"),
    (12, "twelve dozen dozens"),
    (20, "twenty"),
    (100, "hundred"),
)
#: Words that bring a conversion with them.
_CONVERSION_WORDS = (
    (1, "percent percentage"),
    (7, "week weeks weekly"),
    (12, "year years yearly"),
    (24, "day days daily"),
    (60, "hour hours minute minutes"),
    (100, "percent percentage"),
)
_WORDS_IN_TEXT = re.compile(r"[a-z]+")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_MAX_EXPONENT, _MAX_LENGTH = 64, 300
#: The calculator shows a result with some ten digits; a program has to give the answer but for the rounding of floats.
_STATED_TOLERANCE, _FLOAT_TOLERANCE = 1e-6, 1e-9


class NoProgram(ValueError):
    """The annotations of a solution do not make a program; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One calculation and the result that the annotation states."""

    expression: ast.expr
    result: float


def program_of(question: str, solution: str, answer: str) -> str:
    """Python whose `answer` has the value of the gold `answer`. Raises `NoProgram`."""
    given, conversions = _numbers_in(question), _named_numbers(question, _CONVERSION_WORDS)
    read = [_read_step(annotation) for annotation in _ANNOTATION.findall(solution)]
    steps = _calculations(read, given | conversions)
    results = [step.result for step in steps]
    lines: list[str] = []
    variables: dict[str, float] = {}
    for number, step in enumerate(steps, start=1):
        expression = _Reuse(results[: number - 1], given, conversions).visit(step.expression)
        variables[f"v{number}"] = evaluate(expression, variables)
        lines.append(f"v{number} = {ast.unparse(expression)}")
    last = f"v{len(steps)}"
    if not steps or not _close(variables[last], _value(answer), tolerance=_FLOAT_TOLERANCE):
        raise NoProgram("no annotated step gives the answer at the end")
    return "\n".join([*lines, f"answer = {last}"])


def annotations(solution: str) -> list[str]:
    """The calculator's marks, `48/2=24`, in their order."""
    return [mark for mark in _ANNOTATION.findall(solution) if mark.strip()]


def without_annotations(solution: str) -> str:
    """The solution as its author wrote it, without the calculator's marks."""
    return _ANNOTATION.sub("", solution)


def evaluate(expression: ast.expr, variables: Mapping[str, float] = MappingProxyType({})) -> float:
    """Value of plain arithmetic, as Python computes it. Raises `NoProgram` for anything else."""
    match expression:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name) if name in variables:
            return variables[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate(operand, variables)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return evaluate(operand, variables)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _apply(op, evaluate(left, variables), evaluate(right, variables))
    raise NoProgram(f"not plain arithmetic: {ast.unparse(expression)}")


def _apply(op: ast.operator, left: float, right: float) -> float:
    if isinstance(op, ast.Pow) and abs(right) > _MAX_EXPONENT:
        raise NoProgram("too large a power")
    try:
        value = _OPERATORS[type(op)](left, right)
        is_real = not isinstance(value, complex) and math.isfinite(value)
    except ArithmeticError as error:
        raise NoProgram(str(error)) from error
    if not is_real:
        raise NoProgram("no real result")
    return value


def _calculations(steps: list[Step], given: set[float]) -> list[Step]:
    """The steps without restated givens (`<<12=12>>`). Any other bare number was found outside of the annotations."""
    for step in steps:
        if not isinstance(step.expression, ast.BinOp) and step.result not in given:
            raise NoProgram(f"a number without a calculation: {ast.unparse(step.expression)}")
    return [step for step in steps if isinstance(step.expression, ast.BinOp)]


def _value(answer: str) -> float:
    try:
        return float(Fraction(answer))
    except (ValueError, OverflowError) as error:
        raise NoProgram(f"a program has one number as its result: {answer}") from error


def _read_step(annotation: str) -> Step:
    """A step that computes what it states; a percent sign is a unit (`100%-20%=80%`) or a division by 100
    (`200*10%=20`), whichever makes the step true."""
    left, _, right = annotation.rpartition("=")
    if "=" in left or not right.strip():
        raise NoProgram(f"not one calculation: {annotation}")
    for percent in ("", "/100") if "%" in annotation else ("",):
        expression, result = _parse(left, percent), evaluate(_parse(right, percent))
        if _close(evaluate(expression), result, tolerance=_STATED_TOLERANCE):
            return Step(expression=expression, result=result)
    raise NoProgram(f"the calculation is wrong or rounded: {annotation}")


def _parse(arithmetic: str, percent: str) -> ast.expr:
    if len(arithmetic) > _MAX_LENGTH:
        raise NoProgram("too long a calculation")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", arithmetic.replace("$", "").strip())
    text = re.sub(r"(\d*\.?\d+)\s*%", rf"(\1{percent})", text)
    text = re.sub(r"(?<![\d.])0+(?=\d)", "", text)
    text = re.sub(r"(?<=[\d).\s])[xX\u00d7\u00b7](?=[\d(.\s])", "*", text)
    text = text.replace("\u00f7", "/").replace("\N{MINUS SIGN}", "-").replace("^", "**")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NoProgram(f"not readable as arithmetic: {arithmetic}") from error


def _numbers_in(question: str) -> set[float]:
    digits = {float(number.replace(",", "")) for number in _NUMBER.findall(question)}
    return digits | _named_numbers(question, _NUMBER_WORDS)


def _named_numbers(question: str, table: tuple[tuple[int, str], ...]) -> set[float]:
    words = set(_WORDS_IN_TEXT.findall(question.lower().replace("%", " percent ")))
    return {float(value) for value, names in table if words & set(names.split())}


class _Reuse(ast.NodeTransformer):
    """Puts variables in the place of numbers that can only be earlier results.

    `given` numbers are never earlier results; `conversions` are one only right after it was found.
    """

    def __init__(self, results: list[float], given: set[float], conversions: set[float]) -> None:
        taken = given | (conversions - set(results[-1:]))
        self.names = {
            result: f"v{number}"
            for number, result in enumerate(results, start=1)
            if results.count(result) == 1 and result not in taken
        }

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        assert isinstance(node.value, int | float), "steps hold plain arithmetic only"
        name = self.names.get(node.value)
        return ast.Name(id=name) if name else node


def _close(left: float, right: float, *, tolerance: float) -> bool:
    return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
