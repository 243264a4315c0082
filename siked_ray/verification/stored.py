"""A completion as it is judged, stored and trained on, all three the same text."""

from siked_ray.core.strategy import AnswerKind, clean_rationale
from siked_ray.verification.math_names import with_math_import


def as_stored(rationale: str, kind: AnswerKind) -> str:
    """Without the white space around it; a program with the imports from `math` that it lacks."""
    cleaned = clean_rationale(rationale)
    return with_math_import(cleaned) if kind is AnswerKind.PROGRAM else cleaned
