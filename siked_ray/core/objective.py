"""What a training step minimises, as plain values that travel from a recipe to the training workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Columns of rows with the teacher's probabilities at each token of their response, all of them lists: the ids of its
#: k most likely tokens, one token after the other; their log-probabilities; the log of what all other tokens have
#: together. A row without them has empty lists or none.
TEACHER_IDS, TEACHER_LOG_PROBS, TEACHER_LOG_TAIL = "teacher_ids", "teacher_log_probs", "teacher_log_tail"
TEACHER_COLUMNS = (TEACHER_IDS, TEACHER_LOG_PROBS, TEACHER_LOG_TAIL)


#: Source of training rows that hold the student's own wrong solutions.
WRONG = "wrong"


def bytes_per_token(top_k: int) -> int:
    """Of those columns, before they are compressed: ids in int32, log-probabilities and tail in float16."""
    return 6 * top_k + 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveSpec:
    """An objective by the name that `siked_ray.training.compute.objectives` has for it, and its parameters as plain
    values; a training worker makes it. `with_teacher`: it reads the rows' `TEACHER_COLUMNS`. `beside_teacher`: it holds
    the student against a teacher that each worker loads."""

    kind: str = "cross_entropy"
    options: Mapping[str, Any] = field(default_factory=dict)
    with_teacher: bool = False
    beside_teacher: bool = False

    @property
    def corrects(self) -> bool:
        """Whether rows whose `source` is WRONG are held against the teacher alone."""
        return "wrong_weight" in self.options

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes this objective this one, as plain values for the record."""
        options = {"options": dict(self.options)} if self.options else {}
        beside = {"beside_teacher": True} if self.beside_teacher else {}
        return {"kind": self.kind, "with_teacher": self.with_teacher, **beside, **options}


CROSS_ENTROPY = ObjectiveSpec()
