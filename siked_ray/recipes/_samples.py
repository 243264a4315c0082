"""What recipes share: several free completions of each problem at T > 0, beside the greedy ones."""

from siked_ray.core.rollout import FREE
from siked_ray.recipes.verbs import Asked, Lab, Model, Rollouts
from siked_ray.settings import Config


def samples_beside(lab: Lab, config: Config, student: Model, answers: Rollouts, *problem_sets: str) -> Rollouts | None:
    """Samples of the student that gave the `answers`, where `evaluation.samples` asks for them."""
    how = config.evaluation.sampled_plan()
    if how is None or not problem_sets:
        return None
    return lab.sample(answers.stage.of_samples(), student, Asked(problems=problem_sets, requested=(FREE,)), how)
