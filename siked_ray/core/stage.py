"""What tells the stages of a run apart: a kind and a label. Only `StageId.name` turns them into text, and nobody reads
that text again: whoever wants to know the kind or the iteration of a stage asks for it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a stage does; the first word of its name."""

    ROLLOUTS = "rollouts"  # samples that may be trained on
    ANSWERS = "answers"  # greedy completions, for measuring alone
    SAMPLES = "samples"  # several completions of each problem at T > 0, for measuring alone
    TABLE = "table"  # rows that a rule selects
    MIXTURE = "mixture"  # training rows of an iteration
    SCORES = "scores"  # a teacher's probabilities at the tokens of training rows
    READING = "reading"  # a model's probabilities at the tokens of held-out solutions, for measuring alone
    TRAINING = "training"
    CANDIDATE = "candidate"  # answers of one candidate within a training stage
    MERGE = "merge"
    EVALUATION = "evaluation"
    TESTS = "tests"  # an evaluation on test sets that waited for the end
    DECISION = "decision"
    BRANCH = "branch"  # where a run began that did not begin from nothing


@dataclass(frozen=True, slots=True)
class StageId:
    """`label` is a word that is safe in paths; `iteration` is the one that a report counts the stage to."""

    kind: Kind
    label: str
    iteration: int | None = None

    @classmethod
    def of_iteration(cls, kind: Kind, iteration: int) -> "StageId":
        """The one stage of its kind in an iteration."""
        return cls(kind, f"{iteration:02d}", iteration)

    @classmethod
    def of_tests(cls, iteration: int) -> "StageId":
        """The answers to test sets that waited for the end."""
        return cls(Kind.ANSWERS, f"tests_{iteration:02d}", iteration)

    def of_samples(self) -> "StageId":
        """The samples beside these greedy completions."""
        return StageId(Kind.SAMPLES, self.label, self.iteration)

    @classmethod
    def of_reading(cls, reader: str, iteration: int) -> "StageId":
        """What a model ("teacher", "student") says of the held-out solutions of an iteration's student."""
        return cls(Kind.READING, f"{reader}_{iteration:02d}", iteration)

    @classmethod
    def of_held_out(cls, iteration: int) -> "StageId":
        """The held-out solutions of an iteration's student, as rows to be read."""
        return cls(Kind.TABLE, f"held_out_{iteration:02d}", iteration)

    @property
    def name(self) -> str:
        """Name of the stage's record, logs and parts."""
        return f"{self.kind}_{self.label}" if self.label else self.kind.value

    @property
    def folder(self) -> str:
        """The last part of the path of what it makes."""
        return f"iteration_{self.label}" if self == StageId.of_iteration(self.kind, self.iteration or 0) else self.label


TEACHER = StageId(Kind.ROLLOUTS, "teacher", 0)
TEACHER_SCORES = StageId(Kind.SCORES, "teacher", 0)
#: Training of the student that a loop is held against; its answers and figures have the same label.
TWIN = StageId(Kind.TRAINING, "twin")
