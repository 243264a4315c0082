"""How stages are called on the board."""

from siked_ray.core.stage import TEACHER, TEACHER_SCORES, Kind, StageId

_WORDS = {
    Kind.ROLLOUTS: "student samples",
    Kind.ANSWERS: "evaluation",
    Kind.SAMPLES: "evaluation by samples",
    Kind.SCORES: "teacher's probabilities",
    Kind.TRAINING: "training",
}


def title_of(stage: StageId) -> str:
    """Such as "iteration 1 · training"; a stage of no iteration, or one of several of its kind, is called by its
    label."""
    if stage.kind is Kind.READING:
        return f"{_owner(stage)} · held-out solutions read ({stage.label})"
    words = "test sets" if stage == StageId.of_tests(stage.iteration or 0) else _WORDS.get(stage.kind, stage.kind.value)
    which = f" ({stage.label})" if _is_one_of_several(stage) else ""
    return f"{_owner(stage)} · {words}{which}"


def title_of_candidate(training: StageId, step: int) -> str:
    """Such as "iteration 1 · candidate of step 40"."""
    return f"{_owner(training)} · candidate of step {step}"


def _is_one_of_several(stage: StageId) -> bool:
    """Whether its iteration has more stages of the kind."""
    of_its_kind = (StageId.of_iteration(stage.kind, stage.iteration or 0), StageId.of_tests(stage.iteration or 0))
    return stage.iteration is not None and stage not in of_its_kind and stage not in (TEACHER, TEACHER_SCORES)


def _owner(stage: StageId) -> str:
    return stage.label if stage.iteration is None else f"iteration {stage.iteration}"
