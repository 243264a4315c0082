"""What a jailed child does: run a program of the second tier, or compare two answers symbolically.

`warm_up` runs in the server before any fork: what sympy and math-verify load lazily must be loaded by then,
because a child cannot open files.
"""

from typing import Any


def warm_up() -> None:
    """Imports and exercises what tasks use, and makes sympy's reading of strings safe."""
    from siked_ray.verification.sandbox import safe_strings

    safe_strings.install()
    from siked_ray.verification.sandbox import program, symbolic

    program.warm_up()
    symbolic.warm_up()


def run(task: dict[str, Any]) -> dict[str, Any]:
    """The reply to a task; called in a jailed child, whose memory is thrown away afterwards."""
    from siked_ray.verification.sandbox import program, symbolic

    if task["task"] == "program":
        return program.run(str(task["code"]))
    return {"equal": symbolic.same(str(task["predicted"]), str(task["gold"]))}
