"""Reasoning strategies and the tag by which the student names its choice."""

import re
import textwrap
from dataclasses import dataclass
from enum import StrEnum


class AnswerKind(StrEnum):
    """How the answer of a completion is obtained: read from its text, by running it as a program, or by working out
    the arithmetic that it is."""

    TEXT = "text"
    PROGRAM = "program"
    EQUATION = "equation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """A worked example of a few-shot prompt."""

    question: str
    rationale: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Strategy:
    """One way of solving.

    `answer_markers` precede the answer in a completion of kind TEXT, tried in this order; for other
    kinds they are unused. `instruction` and `demonstrations` make the teacher's prompt.
    """

    name: str
    kind: AnswerKind
    instruction: str
    demonstrations: tuple[Demonstration, ...] = ()
    answer_markers: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """What the student writes first, `"[cot]:"`; a space and the rationale follow."""
        return f"[{self.name}]:"


def clean_rationale(text: str) -> str:
    """A completion without the white space around it; the lines of a program keep their common margin's rest.

    What is cleaned is what is judged, stored and trained on, so that a verdict holds for the stored text.
    """
    lines = text.rstrip().split("\n")
    while lines and not lines[0].strip():
        lines = lines[1:]
    return textwrap.dedent("\n".join(lines)).lstrip()


_TAG = re.compile(r"\s*\[(\w+)\]:?")


def split_tag(response: str) -> tuple[str | None, str]:
    """Strategy name and rationale of a student's response `"[cot]: …"`; (None, response) without a tag."""
    match = _TAG.match(response)
    return (match.group(1), response[match.end() :]) if match else (None, response)
