"""What `siked verify` knows about strategies without a configuration: how each one's answer is obtained."""

from siked_ray.core.strategy import AnswerKind, Strategy
from siked_ray.verification.extraction import DEFAULT_MARKERS

#: The three strategies of the method; prompts are configuration and play no part in verification.
DEFAULT_ANSWER_FORMATS = (
    Strategy(name="cot", kind=AnswerKind.TEXT, instruction="", answer_markers=DEFAULT_MARKERS),
    Strategy(name="l2m", kind=AnswerKind.TEXT, instruction="", answer_markers=DEFAULT_MARKERS),
    Strategy(name="pot", kind=AnswerKind.PROGRAM, instruction=""),
)
