"""Names of Python's `math` that a program uses without an import, as published runners allow: the import is written in.

What is judged, stored and trained on is then a program that runs anywhere.
"""

import ast
import builtins
import math
import re

from siked_ray.verification.program_text import has_blocks, programs_in

_NAMES = frozenset(name for name in dir(math) if not name.startswith("_")) - frozenset(dir(builtins))
_USES = re.compile(rf"(?<![.\w])(?:{'|'.join(sorted(_NAMES, key=len, reverse=True))}|math)(?!\w)")
_FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def with_math_import(completion: str) -> str:
    """The completion with `from math import …` (or `import math`) before its program, for the names it lacks.

    A completion that lacks none, or whose program is not valid Python, comes back as it is.
    """
    if _USES.search(completion) is None:
        return completion
    for program in programs_in(completion):
        try:
            tree = ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        lines = _imports(tree)
        return _inserted(completion, program, lines) if lines else completion
    return completion


def _imports(tree: ast.Module) -> str:
    """The lines that import what the program takes from `math` without importing or defining it."""
    used: set[str] = set()
    called: set[str] = set()
    assigned: set[str] = set()
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else assigned).add(node.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            defined.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            defined.add(node.name)
    if "*" in defined:
        return ""
    taken = (used - assigned) | called  # `lcm = lcm(4, 6)` needs the name that it assigns
    missing = sorted((taken & _NAMES) - defined)
    lines = ["import math"] if "math" in used - assigned - defined else []
    return "\n".join([*lines, *([f"from math import {', '.join(missing)}"] if missing else [])])


def _inserted(completion: str, program: str, lines: str) -> str:
    """The completion with the lines before the first line of its program, at that line's indentation."""
    first = next((line.strip() for line in program.split("\n") if line.strip()), "")
    start = _FENCE_LINE.search(completion).end() if has_blocks(completion) and _FENCE_LINE.search(completion) else 0  # type: ignore[union-attr]
    place = completion.find(first, start)
    if not first or place < 0:
        return completion
    line_start = completion.rfind("\n", 0, place) + 1
    indent = completion[line_start:place]
    margin = indent if not indent.strip() else ""
    inserted = "".join(f"{line}\n{margin}" for line in lines.split("\n"))
    return completion[:place] + inserted + completion[place:]
