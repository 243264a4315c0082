"""First tier: programs in pydantic-monty, an interpreter without files, network, environment or imports.

A pool of interpreter processes, a fresh session per program. Clock and random numbers are frozen, so a
program gives the same answer every time. What a program asks of its host (a file, an unknown module) is
noted, and fails it even if it caught the error.
"""

import builtins
import datetime
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from siked_ray.core.verdict import Verdict
from siked_ray.errors import VerificationError
from siked_ray.verification.plain import Findings, Outcome, outcome_of, plain_text, shows_variable

#: Modules that monty lacks and the second tier grants.
SECOND_TIER_MODULES = frozenset(
    {"sympy", "numpy", "fractions", "statistics", "cmath", "calendar", "operator", "string", "heapq", "bisect", "copy"}
)
#: What monty raises where it lacks something that CPython has (`max(d, key=d.get)`, `next(x for …)`, a name to import,
#: a format of `strptime`): the second tier decides whether the program or the interpreter was at fault.
_PERHAPS_LACKING = ("AttributeError: ", "TypeError: ", "ImportError: ", "ValueError: time data", "ValueError: pow()")
#: monty rounds 2.675 to 2.68, CPython to 2.67: formatting is exact in both.
_ROUNDS_TO_DIGITS = re.compile(r"\bround\s*\([^\n]*,")
_EXACT_ROUND = """
def round(number, ndigits=None, _round=round):
    if type(number) is float and type(ndigits) is int and 0 <= ndigits <= 300:
        return float(f'{number:.{ndigits}f}')
    return _round(number) if ndigits is None else _round(number, ndigits)
"""
_BUILTIN_NAMES = frozenset(dir(builtins))
_ASSUMED = """
math np statistics Symbol symbols solve Eq solve_it simplify Rational nsolve solveset linsolve solve_linear_system
solve_poly_system
"""
#: What program-of-thought prompts take for granted because their executors import it; the second tier has it.
ASSUMED_NAMES = frozenset(_ASSUMED.split())
ANSWER_VARIABLES = ("answer", "ans")

_MAX_PRINTED_BYTES = 100_000
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '(\w+)")
_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_DEFINES_SOLUTION = re.compile(r"^(?:async )?def solution\s*\(", re.MULTILINE)
_FROZEN = {
    "datetime": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "sleep": "zero",
    "random_start": {"seed": 0},
}


class NeedsSecondTier(Exception):
    """The program needs something that only the second tier has; the message names it."""


class SyntaxProblem(Exception):
    """The text is not Python; the message is the parser's."""


class _NoModules(Mapping[str, Any]):
    """Host modules a program may import: none. Remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class MontyRunner:
    """Runs programs in monty processes; `run` may be called from many threads at once."""

    def __init__(self, *, timeout_s: float, memory_mb: int, num_workers: int) -> None:
        self._limits = {
            "max_memory": memory_mb * 1_000_000,
            "max_suspensions": 50,
            "max_total_sleep_secs": 0.0,
        }
        self._timeout_s = timeout_s
        self._num_workers = num_workers
        self._pool: Any = None
        self._is_closed = False
        self._lock = threading.Lock()

    def run(self, code: str, *, share: float = 1.0) -> Outcome:
        """What the program gives within a share of the time limit.

        Raises NeedsSecondTier or SyntaxProblem where this tier cannot tell. A program whose process was killed is
        run once more: most likely it was killed from outside.
        """
        import pydantic_monty as monty

        try:
            return self._run_once(code, share)
        except monty.MontyCrashedError:
            pass
        try:
            return self._run_once(code, share)
        except monty.MontyCrashedError as error:
            return Outcome(verdict=Verdict.ERROR, reason=str(error)[:200])

    def _run_once(self, code: str, share: float) -> Outcome:
        import pydantic_monty as monty

        modules, host_calls = _NoModules(), []
        limits = {**self._limits, "max_feed_duration_secs": share * self._timeout_s}

        def refuse(**call: Any) -> Any:
            host_calls.append(str(call.get("name")))
            return monty.NOT_HANDLED

        try:
            with self._started().checkout(
                limits=limits, external_modules=modules, os_policy=_FROZEN, assert_message_annotations=False
            ) as session:
                findings = _run_in(session, code, refuse)
        except monty.MontySyntaxError as error:
            raise SyntaxProblem(str(error)[:200]) from None
        except monty.MontyError as error:
            if isinstance(error, monty.MontyCrashedError) and not error.timed_out:
                raise
            outcome = _failed(error, modules.asked, code)
        else:
            outcome = outcome_of(findings, plain_text)
        return _refused(modules.asked, host_calls) or outcome

    def _started(self) -> Any:
        with self._lock:
            if self._is_closed:
                raise VerificationError("the verifier is closed")
            if self._pool is None:
                from pydantic_monty import Monty

                self._pool = Monty(
                    max_processes=self._num_workers,
                    request_timeout=2 * self._timeout_s + 5.0,
                    feed_duration_limit_grace=1.0,
                ).__enter__()
            return self._pool

    def close(self) -> None:
        """Ends the interpreter processes; running anything after that is an error."""
        with self._lock:
            self._is_closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)


def _run_in(session: Any, code: str, refuse: Any) -> Findings:
    from pydantic_monty import CollectString

    printed = CollectString(max_bytes=_MAX_PRINTED_BYTES)
    if _ROUNDS_TO_DIGITS.search(code):
        session.feed_run(_EXACT_ROUND)
    expression = session.feed_run(code, os=refuse, print_callback=printed)
    variable = _variable(session, code)
    returned = None
    if variable is None and expression is None and not printed.output.strip() and _DEFINES_SOLUTION.search(code):
        returned = session.feed_run("solution()", os=refuse, print_callback=printed)
    return Findings(
        variable=variable,
        expression=expression,
        returned=returned,
        printed=printed.output,
        shows_variable=shows_variable(code),
    )


def _variable(session: Any, code: str) -> Any:
    """The value of `answer` (or `ans`) at the end, None if the program has no such variable."""
    from pydantic_monty import MontyRuntimeError

    for name in ANSWER_VARIABLES:
        if re.search(rf"\b{name}\b", code):
            try:
                value = session.feed_run(name)
                if not (type(value) is str and value.startswith("<function ")):
                    return value
            except MontyRuntimeError as error:
                if not _UNDEFINED.match(str(error)):
                    raise
    return None


def _failed(error: Exception, asked: list[str], code: str) -> Outcome:
    message = str(error)
    missing = _MISSING_MODULE.match(message)
    if missing and missing[1] in SECOND_TIER_MODULES:
        raise NeedsSecondTier(missing[1]) from None
    if message.startswith("NotImplementedError: ") and "not" in message and "support" in message:
        raise NeedsSecondTier("syntax that the first tier lacks") from None
    if message.startswith(_PERHAPS_LACKING):
        raise NeedsSecondTier(message[:80]) from None
    undefined = _UNDEFINED.match(message)
    if undefined and (undefined[1] in ASSUMED_NAMES or undefined[1] in _BUILTIN_NAMES):
        raise NeedsSecondTier(undefined[1]) from None
    if getattr(error, "timed_out", False) or message.startswith("TimeoutError"):
        return Outcome(verdict=Verdict.TIMEOUT, reason=message[:200])
    return Outcome(verdict=Verdict.ERROR, reason=message[:200] or type(error).__name__, raised=True)


def _refused(asked: list[str], host_calls: list[str]) -> Outcome | None:
    """A program that asked for a file, the environment or an unknown module fails, whatever it did about the error."""
    unknown = [name for name in asked if name.split(".")[0] not in SECOND_TIER_MODULES]
    if host_calls:
        return Outcome(verdict=Verdict.ERROR, reason=f"refused: the program calls {host_calls[0]}")
    if unknown:
        return Outcome(verdict=Verdict.ERROR, reason=f"refused: no module named {unknown[0]!r} in here")
    if asked:
        raise NeedsSecondTier(asked[0])
    return None
