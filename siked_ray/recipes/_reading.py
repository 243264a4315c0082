"""What loops share: how far a student is from its teacher, token by token, on held-out problems."""

from siked_ray.core.own_texts import OwnTexts
from siked_ray.core.stage import StageId
from siked_ray.recipes.verbs import Lab, Model, Reading, Rollouts
from siked_ray.settings import Config


def read_by_both(lab: Lab, config: Config, iteration: int, student: Model, answers: Rollouts) -> Reading | None:
    """Teacher and student at the tokens of the student's held-out solutions, where the teacher scores at all."""
    if config.top_k is None:
        return None
    rule = OwnTexts(strategies=tuple(config.strategies), templates=config.prompts.templates(), held_out=True)
    rows = lab.select(StageId.of_held_out(iteration), rule, student_rollouts=answers)
    by_teacher, by_student = (
        lab.score(StageId.of_reading(model.engines, iteration), model, rows, config.top_k)
        for model in (lab.model("teacher"), student)
    )
    return Reading(rows=rows, student=student, by_teacher=by_teacher, by_student=by_student)
