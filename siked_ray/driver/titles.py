"""How stages are called on the board."""

from siked_ray.core.stage import Kind, StageId

_WORDS = {
    Kind.ROLLOUTS: "student samples",
    Kind.ANSWERS: "evaluation",
    Kind.SCORES: "teacher's probabilities",
    Kind.TRAINING: "training",
}


def title_of(stage: StageId) -> str:
    """Such as "iteration 1 · training"; a stage of no iteration is called by its label."""
    if stage.kind is Kind.READING:
        return f"{_owner(stage)} · held-out solutions read ({stage.label})"
    words = "test sets" if stage == StageId.of_tests(stage.iteration or 0) else _WORDS.get(stage.kind, stage.kind.value)
    return f"{_owner(stage)} · {words}"


def title_of_candidate(training: StageId, step: int) -> str:
    """Such as "iteration 1 · candidate of step 40"."""
    return f"{_owner(training)} · candidate of step {step}"


def _owner(stage: StageId) -> str:
    return stage.label if stage.iteration is None else f"iteration {stage.iteration}"
