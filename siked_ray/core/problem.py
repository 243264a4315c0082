"""Problems: a question with its gold answer."""

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """What a problem is for. Only TRAIN is learned from; only VALIDATION selects; TEST selects nothing."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One problem; `answer` is the gold as text (`"72"`, `"-0.5"`, `"3:2"`), never a sentinel number. `level` is
    what its source calls its level, grade or type, None where it says nothing."""

    problem_id: str
    dataset: str
    question: str
    answer: str
    level: str | None = None
