"""What a jailed child does: run a program of the second tier, or compare two answers symbolically.

`warm_up` runs in the server before any fork: what the libraries load lazily must be loaded by then, because a
child cannot open files. A server without `algebra` has neither sympy nor numpy: it is small, so that it forks
in half the time.
"""

from typing import Any


def warm_up(*, algebra: bool) -> None:
    """Imports and exercises what tasks use, and makes sympy's reading of strings safe."""
    if algebra:
        from siked_ray.verification.sandbox import safe_strings, symbolic

        safe_strings.install()
        symbolic.warm_up()
    from siked_ray.verification.sandbox.warm_up import warm_up_programs

    warm_up_programs(algebra=algebra)


def run(task: dict[str, Any], *, algebra: bool) -> dict[str, Any]:
    """The reply to a task; called in a jailed child, whose memory is thrown away afterwards."""
    if task["task"] == "program":
        from siked_ray.verification.sandbox import program

        return program.run(str(task["code"]), algebra=algebra)
    from siked_ray.verification.sandbox import symbolic

    return {"equal": symbolic.same(str(task["predicted"]), str(task["gold"]))}
