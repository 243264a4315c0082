"""Answers out of completions, their equivalence with golds, and programs run where they can do no harm.

Importing this package is cheap: sympy, math-verify and pydantic-monty load when the first completion
needs them, sympy and math-verify only ever inside worker processes.
"""

from siked_ray.verification.defaults import DEFAULT_ANSWER_FORMATS
from siked_ray.verification.equivalence import equivalent
from siked_ray.verification.extraction import DEFAULT_MARKERS, Extraction, extract_answer
from siked_ray.verification.files import verify_file
from siked_ray.verification.verifier import Verifier

__all__ = [
    "DEFAULT_ANSWER_FORMATS",
    "DEFAULT_MARKERS",
    "Extraction",
    "Verifier",
    "equivalent",
    "extract_answer",
    "verify_file",
]
