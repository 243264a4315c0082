"""A tiny evaluator of the world's programs: arithmetic, lists and names, and nothing else."""

import ast
import operator
from fractions import Fraction

_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def run_program(source: str) -> Fraction:
    """Value of `answer` after the program; TypeError for any construct that the world does not use."""
    names: dict[str, object] = {}
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign), f"unexpected statement {ast.dump(statement)}"
        (target,) = statement.targets
        names[target.id] = _evaluate(statement.value, names)
    return names["answer"]


def _evaluate(node, names):
    match node:
        case ast.Constant(value=int() as value):
            return Fraction(value)
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, names), _evaluate(right, names))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, names)
        case ast.List(elts=elements):
            return [_evaluate(element, names) for element in elements]
        case ast.Subscript(value=value, slice=index):
            return _evaluate(value, names)[int(_evaluate(index, names))]
    raise TypeError(f"not part of the world's programs: {ast.dump(node)}")
