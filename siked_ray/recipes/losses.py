"""Which loss matters (after arXiv 2407.19409): the same rows, a student for each objective, one table."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from siked_ray.core.claim import Record, claims_of
from siked_ray.core.objective import ObjectiveSpec
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TEACHER, TEACHER_SCORES, Kind, StageId
from siked_ray.core.stopping import Decision
from siked_ray.recipes._samples import samples_beside
from siked_ray.recipes.verbs import Asked, Figures, Lab, Rollouts
from siked_ray.settings import Config
from siked_ray.settings.base import Settings as Section
from siked_ray.settings.distillation import DistillationSettings
from siked_ray.settings.training import ObjectiveName

NEEDS_TEACHER = True
TRAIN, HELD_OUT = Split.TRAIN.value, Split.VALIDATION.value
_Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]


class Arm(DistillationSettings):
    """An objective, and what `training.distillation` would say of it."""

    objective: ObjectiveName = Field(description="As `training.objective`.")


class Settings(Section):
    """`options` in the file."""

    grid: Annotated[dict[_Label, Arm], Field(min_length=2)] = Field(
        default={
            "cross_entropy": Arm(objective="cross_entropy"),
            "forward_kl": Arm(objective="forward_kl"),
            "reverse_kl": Arm(objective="reverse_kl"),
            "jsd": Arm(objective="jsd"),
        },
        description="What students are trained with, by a name; each is compared with the first.",
    )


def objectives(config: Config) -> dict[str, ObjectiveSpec]:
    """By the names of their students."""
    return {
        name: config.training.model_copy(update={"objective": arm.objective, "distillation": arm}).objective_spec(
            stored=config.top_k is not None
        )
        for name, arm in Settings.model_validate(config.options).grid.items()
    }


def run(lab: Lab, config: Config) -> Decision:
    """Sample the teacher once, and train on its solutions in as many ways as the grid has; every student takes the same
    steps on the same rows in the same order."""
    teacher, base = lab.model("teacher"), lab.model("student")
    every_strategy = Asked(problems=(TRAIN,), requested=tuple(config.strategies))
    solutions = lab.sample(TEACHER, teacher, every_strategy, config.generation.plan())
    rows = lab.select(StageId(Kind.TABLE, "rows"), config.mixture_rule(0), teacher_rollouts=solutions)
    specs = objectives(config)
    wanted = any(spec.with_teacher for spec in specs.values())
    scores = (lab.score(TEACHER_SCORES, teacher, rows, config.top_k),) if config.top_k and wanted else ()

    answers: dict[str, Rollouts] = {}
    figures: dict[str, Figures] = {}
    for name, spec in specs.items():
        beside = teacher if spec.beside_teacher else None
        of_spec = scores if spec.with_teacher else ()
        student = lab.train(StageId(Kind.TRAINING, name), base, rows, spec, beside, of_spec)
        exam = Asked(problems=(HELD_OUT, *lab.test_sets()), requested=(FREE, *config.strategies))
        answers[name] = lab.sample(StageId(Kind.ANSWERS, name), student, exam, config.evaluation.plan())
        first = next(iter(answers))
        against = {first: answers[first]} if name != first else {}
        asked = dict.fromkeys(exam.problems, answers[name])
        samples = samples_beside(lab, config, student, answers[name], *exam.problems)
        figures[name] = lab.measure(StageId(Kind.EVALUATION, name), asked, against, samples=samples)
    return lab.decide(StageId(Kind.DECISION, "losses"), lambda: _best(figures))


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Each student against the first."""
    measured = {one.id.label: one.metrics for one in records if one.id.kind is Kind.EVALUATION}
    first, *others = measured or [""]
    return {"claims": [one for name in others for one in claims_of(measured[name], name, first, first)]}


def _best(figures: dict[str, Figures]) -> Decision:
    """By held-out free accuracy, with what a paired test says of it."""
    first = next(iter(figures))
    best = max(figures, key=lambda name: figures[name][HELD_OUT]["free"])
    said = f"{best} solves most held-out problems: {figures[best][HELD_OUT]['free']:.1%}"
    if best != first:
        paired = figures[best][HELD_OUT]["paired"][first]
        low, high = paired["interval"]
        said += f", {100 * paired['difference']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}] against {first}"
    return Decision(stop=True, best_iteration=0, reason=said)
