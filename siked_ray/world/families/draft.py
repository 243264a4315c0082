"""What a family draws, and the few words and forms that families share."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

NAMES = ("Ana", "Ben", "Eva", "Gus", "Kim", "Leo", "Mia", "Sam")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A question, its exact answer and one solution in each strategy's form."""

    question: str
    answer: Fraction
    cot: str
    l2m: str
    pot: str


def show(value: Fraction | int) -> str:
    """A number as people write it: `7`, `-3`, `9.5`."""
    value = Fraction(value)
    return str(value.numerator) if value.denominator == 1 else str(float(value))


def finish(question: str, answer: Fraction | int, *, cot: str, steps: Sequence[str], pot: str) -> Draft:
    """Close the text forms with the sentence that states the answer; `steps` are the lines of `l2m`."""
    closing = f"The answer is {show(answer)}."
    return Draft(
        question=question,
        answer=Fraction(answer),
        cot=f"{cot} {closing}",
        l2m="\n".join([*steps, closing]),
        pot=pot,
    )
