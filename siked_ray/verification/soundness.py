"""Whether a rationale's own statements hold and lead to its answer: a right last line over wrong reasoning teaches
wrong reasoning.

A text is checked without knowing the solution: its equations by arithmetic, and its answer against what its body
concludes. A program is only asked whether it computes with the numbers of its question.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from siked_ray.core.reasoning import Reasoning, Steps
from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.verification.arithmetic import MAX_DIGITS, exact
from siked_ray.verification.conclusion import number_word, numbers_stated_in, reaches
from siked_ray.verification.equations import equations_in
from siked_ray.verification.extraction import DEFAULT_MARKERS
from siked_ray.verification.plain_signs import plain_signs

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)?")
_COMMENT = re.compile(r"#[^\n]*")
_PROGRAM_NUMBER = re.compile(r"(?<![\w.])(?:\d[\d_]*(?:\.\d+)?|\.\d+)")
_MIN_NUMBERS_USED = 2


def reasoning_of(strategy: Strategy, question: str, rationale: str, answer: str) -> Reasoning:
    """The reasoning of a rationale that gave `answer` (the predicted one). Never raises for what a rationale holds."""
    if strategy.kind is AnswerKind.PROGRAM:
        return Reasoning(uses_question_numbers=_uses_numbers(question, rationale))
    steps = steps_of(rationale, answer, strategy.answer_markers or DEFAULT_MARKERS)
    computed = strategy.kind is AnswerKind.EQUATION  # its answer is what its last line comes to
    return Reasoning(steps=replace(steps, reaches_answer=True) if computed else steps)


def steps_of(rationale: str, answer: str, markers: Sequence[str] = DEFAULT_MARKERS) -> Steps:
    """The steps of a text that gave `answer`; `markers` stand before its final answer."""
    text, marks = plain_signs(rationale)
    equations = equations_in(text)
    marked = equations_in(marks) if marks else []
    true = sum(equation.is_true for equation in equations) + sum(equation.is_true for equation in marked)
    return Steps(
        stated=len(equations) + len(marked),
        true=true,
        reaches_answer=reaches(text, equations, answer, tuple(markers)),
    )


def _uses_numbers(question: str, program: str) -> bool:
    """Whether a program has at least two numbers of its question in it, or the only one that it states in digits."""
    code = _COMMENT.sub("", program)
    used = [exact(digits.replace("_", "")) for digits in _PROGRAM_NUMBER.findall(code) if len(digits) <= MAX_DIGITS]
    in_digits = set(numbers_stated_in(question))
    given = in_digits | {value for word in _WORD.findall(question.lower()) if (value := number_word(word)) is not None}
    num_used = sum(not given.isdisjoint((value, value * 100, Fraction(value) / 100)) for value in used)
    return num_used >= min(_MIN_NUMBERS_USED, len(in_digits))
