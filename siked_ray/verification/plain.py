"""What a program computed, as plain text: the only form in which results leave a sandbox.

Answers are numbers and short strings. Everything else (booleans, None, objects with methods of their own)
is no answer, whatever it claims to be equal to: types are compared by identity, no method of a value is called.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from siked_ray.core.verdict import Verdict

_MAX_STRING_CHARS = 500
_MAX_VALUES = 20
_MAX_BITS = 13_000  # below CPython's limit of 4,300 digits for turning an integer into text

#: What a completion's programs print between them: of several, the last one that prints answers.
BLOCK_END = "\x1e"
_FORMULA = re.compile(
    r"[*^]|\b(?:sqrt|log|ln|exp|sin|cos|tan|asin|acos|atan)\(|\d[ij]\b|\b[a-z] ?[-+] ?\d|\d ?[-+] ?[a-z]\b"
)
_STATEMENT_START = re.compile(r"^[A-Za-z_@]", re.MULTILINE)
_SHOWS_ANSWER = re.compile(r"(?:answer|ans)\b(?!\s*(?:[-+*/%|&^]|//|\*\*)?=(?!=))|[\w.]+\((?s:.*)\b(?:answer|ans)\b")

Convert = Callable[[object], "str | None"]


class FormulaText(str):
    """The text of a formula, for the symbolic layer."""


class NotAnAnswer(Exception):
    """A value that cannot be an answer; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a program: its answers in order (none if it failed), or a verdict with its reason.

    `is_formula`: the answer has variables in it (or is complex, or a matrix), so it is no number, whatever its text
    looks like. `raised`: it ended in an exception of its own; another reading of the completion may do better.
    """

    answers: tuple[str, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""
    is_formula: bool = False
    raised: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Where a program's answer can be: in a variable, a last expression, what `solution()` returned, or in print.

    `shown` is the value that the only print printed, where it is a formula and its text says less; `shows_variable`:
    the program's last statement shows what it makes of the variable.
    """

    variable: object = None
    expression: object = None
    returned: object = None
    printed: str = ""
    shown: object = None
    shows_variable: bool = False


def shows_variable(code: str) -> bool:
    """Whether a program's last statement shows what it makes of `answer`: `print(round(answer))`, `answer[0]`."""
    starts = list(_STATEMENT_START.finditer(code))
    return bool(starts) and _SHOWS_ANSWER.match(code, starts[-1].start()) is not None


def outcome_of(findings: Findings, convert: Convert) -> Outcome:
    """The answer of a finished program: what its last line makes of the variable, that itself, or else the rest."""
    if findings.variable is None:
        return _first_outcome((findings.expression, findings.returned, findings.shown), findings.printed, convert)
    variable = _first_outcome((findings.variable,), "", convert)
    if variable.verdict is not None or not findings.shows_variable:
        return variable
    last = _first_outcome((findings.expression, findings.shown), findings.printed, convert)
    return last if _is_number(last) else variable


def _first_outcome(values: tuple[object, ...], printed: str, convert: Convert) -> Outcome:
    """What the first value gives that is there, else what was printed."""
    try:
        for value in values:
            if value is not None:
                return Outcome(answers=plain_answers(value, convert))
    except NotAnAnswer as error:
        return Outcome(verdict=Verdict.UNPARSED, reason=str(error))
    except Exception as error:  # a value that cannot even be converted is no answer either
        return Outcome(verdict=Verdict.UNPARSED, reason=f"the result cannot be read ({type(error).__name__})")
    return _printed_outcome(printed)


def _is_number(outcome: Outcome) -> bool:
    from siked_ray.verification.quantity import read_value

    return len(outcome.answers) == 1 and read_value(outcome.answers[0]) is not None


def plain_answers(value: object, convert: Convert) -> tuple[str, ...]:
    """One text per value; a list, tuple, set or dict of numbers is several answers, and of one number one."""
    if type(value) is dict:
        value = list(value.values())
    if type(value) in (list, tuple, set, frozenset):
        items = list(value)  # type: ignore[call-overload]
        if not items:
            raise NotAnAnswer("the result is empty")
        if len(items) > _MAX_VALUES:
            raise NotAnAnswer(f"several values ({len(items)})")
        return tuple(_single(item, convert) for item in items)
    return (_single(value, convert),)


def _single(value: object, convert: Convert) -> str:
    if type(value) in (list, tuple) and len(value) == 1:  # type: ignore[arg-type]
        value = value[0]  # type: ignore[index]
    elif type(value) is dict and len(value) == 1:
        value = next(iter(value.values()))
    text = convert(value)
    if text is None:
        raise NotAnAnswer(f"a {type(value).__name__} is no answer")
    return text


def plain_text(value: object) -> str | None:
    """A builtin number or a short string as text; None for anything that is neither."""
    kind = type(value)
    if kind is int:
        return _integer(value)  # type: ignore[arg-type]
    if kind is float:
        return _float(value)  # type: ignore[arg-type]
    if kind is Decimal or kind is Fraction:
        return _finite(value)  # type: ignore[arg-type]
    if kind is str:
        return _string(value)  # type: ignore[arg-type]
    return None


def _integer(value: int) -> str:
    if value.bit_length() > _MAX_BITS:
        raise NotAnAnswer(f"an integer of {value.bit_length()} bits is too large")
    return str(value)


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise NotAnAnswer(f"the result is {value}")
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _finite(value: Decimal | Fraction) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise NotAnAnswer(f"the result is {value}")
        return str(value)
    return (
        f"{_integer(value.numerator)}/{_integer(value.denominator)}"
        if value.denominator != 1
        else _integer(value.numerator)
    )


def _string(value: str) -> str:
    text = value.strip()
    if not text:
        raise NotAnAnswer("the result is an empty string")
    if len(text) > _MAX_STRING_CHARS:
        raise NotAnAnswer(f"the result is a string of {len(text)} characters")
    return text


def _printed_outcome(printed: str) -> Outcome:
    """The printed answer: by marker, or the single line that states exactly one value."""
    from siked_ray.verification.extraction import extract_answer

    printed = next((part for part in reversed(printed.split(BLOCK_END)) if part.strip()), "")
    lines = [line.strip() for line in printed.split("\n") if line.strip()]
    if not lines:
        return Outcome(verdict=Verdict.UNPARSED, reason="the program gives no answer")
    extraction = extract_answer(printed)
    if extraction.by_marker and extraction.answer is not None:
        return Outcome(answers=(extraction.answer,))
    last = extract_answer(lines[-1])
    if last.by_phrase and last.answer is not None:
        return Outcome(answers=(last.answer,))
    with_digits = [line for line in lines if any(map(str.isdigit, line))]
    if len(lines) > 1 and len(with_digits) != 1:
        return Outcome(verdict=Verdict.UNPARSED, reason=f"several printed lines ({len(lines)})")
    return _line_outcome(with_digits[0] if len(lines) > 1 else lines[0])


def _line_outcome(line: str) -> Outcome:
    """The one value in a printed line, or the formula that it is; no number is picked out of a formula."""
    from siked_ray.verification.extraction import extract_answer
    from siked_ray.verification.mathematics import is_mathematics
    from siked_ray.verification.quantity import read_value
    from siked_ray.verification.statement import numbers_in

    if len(line) > _MAX_STRING_CHARS:
        return Outcome(verdict=Verdict.UNPARSED, reason="a long printed line")
    if "=" not in line and _FORMULA.search(line.replace("**", "^")) and read_value(line) is None:
        if not is_mathematics(line):
            return Outcome(verdict=Verdict.UNPARSED, reason="a formula among words")
        return Outcome(answers=(line,))
    values = numbers_in(line)
    if len(values) > 1 and "=" not in line:
        return Outcome(answers=tuple(value.text for value in values[:_MAX_VALUES]))
    return Outcome(answers=(extract_answer(line).answer or line,))
