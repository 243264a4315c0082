"""A loop's twin: a student of the teacher's rows alone, trained for as long; a loop is worth what it gains over it."""

from collections.abc import Sequence
from typing import Any

from siked_ray.core.claim import Record, gain_over_twin
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TWIN, Kind, StageId
from siked_ray.core.training_plan import Length
from siked_ray.recipes._samples import samples_beside
from siked_ray.recipes.verbs import Asked, Lab, Model, Rollouts, Scores, Table
from siked_ray.settings import Config


def train_twin(
    lab: Lab, config: Config, loop: Model, rows: Table, objective: ObjectiveSpec, scores: Sequence[Scores] = ()
) -> Model:
    """Train the base on `rows`, the teacher's, for as many steps or tokens as the loop's student had."""
    length = Length(steps=loop.steps) if config.control == "matched" else Length(tokens=loop.tokens)
    beside = lab.model("teacher") if objective.beside_teacher else None
    return lab.train(TWIN, lab.model("student"), rows, objective, beside, scores, length)


def measure_twin(lab: Lab, config: Config, twin: Model, held_out: Rollouts, tested: Rollouts | None) -> None:
    """Hold the twin against the answers of the loop's student: to the held-out problems, and to the test sets where
    these were asked apart."""
    tests, of_twin = lab.test_sets(), TWIN.label
    exam = Asked(problems=(Split.VALIDATION.value, *tests), requested=(FREE, *config.strategies))
    answers = lab.sample(StageId(Kind.ANSWERS, of_twin), twin, exam, config.evaluation.plan())
    samples = samples_beside(lab, config, twin, answers, *exam.problems)
    together = (Split.VALIDATION.value,) if tested else exam.problems
    lab.measure(
        StageId(Kind.EVALUATION, of_twin), dict.fromkeys(together, answers), {"loop": held_out}, samples=samples
    )
    if tested:
        lab.measure(StageId(Kind.TESTS, of_twin), dict.fromkeys(tests, answers), {"loop": tested}, samples=samples)


def said_of_twin(records: Sequence[Record]) -> dict[str, Any]:
    """{"control": what the loop gained over its twin}; nothing without one."""
    gain = gain_over_twin(records)
    return {"control": gain.values} if gain else {}
