"""Checks a program's syntax tree before the second tier runs it: the first of that tier's two walls.

No attribute that leads to an interpreter's inside, no name that is not granted, no class definitions. What
modules offer is decided by `granted`, which hands out names, never modules.
"""

import ast

_INNER_PREFIXES = ("_", "gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_", "im_")
_INNER_ATTRIBUTES = frozenset(
    {
        "mro",
        "format_map",
        "with_traceback",
        "add_note",
        "__builtins__",
        "sympify",
        "parse_expr",
        "lambdify",
        "tofile",
        "dump",
        "dumps",
        "ctypes",
    }
)
_REFUSED_NODES = (
    ast.ClassDef,
    ast.AsyncFunctionDef,
    ast.AsyncFor,
    ast.AsyncWith,
    ast.Await,
    ast.With,
)
_MAX_NODES = 20_000


class Refused(Exception):
    """The program uses what the second tier does not grant; the message says what."""


def checked_tree(code: str) -> ast.Module:
    """The program's tree. Raises SyntaxError or Refused."""
    tree = ast.parse(code)
    for count, node in enumerate(ast.walk(tree)):
        if count > _MAX_NODES:
            raise Refused("the program is too long")
        _check(node)
    return tree


def _check(node: ast.AST) -> None:
    if isinstance(node, _REFUSED_NODES):
        raise Refused(f"{type(node).__name__} is not granted")
    if isinstance(node, ast.Attribute) and (node.attr in _INNER_ATTRIBUTES or node.attr.startswith(_INNER_PREFIXES)):
        raise Refused(f"attribute {node.attr} is not granted")
    for name in _names(node):
        if name.startswith("__") and name != "__name__":
            raise Refused(f"name {name} is not granted")
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "__" in node.value
        and node.value != "__main__"
    ):
        raise Refused("strings with two underscores are not granted")
    if isinstance(node, ast.ExceptHandler) and (node.type is None or _is_base_exception(node.type)):
        node.type = ast.copy_location(ast.Name(id="Exception", ctx=ast.Load()), node)


def _is_base_exception(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "BaseException"


def _names(node: ast.AST) -> list[str]:
    """Every identifier a node introduces or uses, whatever its kind."""
    names = [getattr(node, field, None) for field in ("id", "arg", "name", "asname", "attr")]
    if isinstance(node, ast.Global | ast.Nonlocal):
        names += node.names
    return [name for name in names if isinstance(name, str)]
