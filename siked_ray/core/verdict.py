"""The verdict on one completion."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What verification found. Only CORRECT is ever kept."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    ERROR = "error"
    TIMEOUT = "timeout"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Verdict, the answer that was read (None when there is none) and why, in a few words."""

    verdict: Verdict
    predicted: str | None
    reason: str
