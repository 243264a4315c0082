"""What a rationale states on its way to its answer, and whether that is needed for a sample to be kept."""

from dataclasses import dataclass
from enum import StrEnum


class Accept(StrEnum):
    """Which correct samples are kept: all of them, or those whose reasoning is sound too."""

    ANSWER = "answer"
    SOUND = "sound"


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """What a text states: `stated` equations of which so many are `true`; `reaches_answer`: its body concludes in the
    answer."""

    stated: int
    true: int
    reaches_answer: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasoning:
    """Of a text its steps; of a program, whether it computes with numbers of its question."""

    steps: Steps | None = None
    uses_question_numbers: bool | None = None

    @property
    def sound(self) -> bool:
        """No false equation, and the answer is reached; of a program, that it uses its question's numbers."""
        if self.steps is None:
            return bool(self.uses_question_numbers)
        return self.steps.stated == self.steps.true and self.steps.reaches_answer
