"""MinT (after arXiv 2307.07951): each problem in every way in which it is solved, asked for by a suffix after the
question; one student of all views, beside one of each view alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from siked_ray.core.claim import Record, claims_of
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.core.stopping import Decision
from siked_ray.core.training_plan import Length
from siked_ray.core.view_rule import ViewRule
from siked_ray.errors import ConfigError
from siked_ray.recipes.verbs import Asked, Figures, Lab, Model, Rollouts
from siked_ray.settings import Config
from siked_ray.settings.base import Settings as Section

NEEDS_TEACHER = True
#: Strategies are views: each has a student's template of its own.
VIEWS = True
TRAIN, HELD_OUT = Split.TRAIN.value, Split.VALIDATION.value
ALL, ALONE = "all", "only_"


class Settings(Section):
    """`options` in the file."""

    noisy: list[str] = Field(
        default=[], description="Views whose rows need not give the right answer; those that do not are counted apart."
    )


def check(config: Config) -> None:
    """ConfigError where strategies are no views."""
    views = config.strategies
    if len(views) < 2:
        raise ConfigError(f"recipe mint: {views[0]} alone is no union of views; name at least two in strategies.")
    if missing := [name for name in views if config.prompts.strategies[name].student is None]:
        raise ConfigError(
            f"recipe mint: {', '.join(missing)} has no template of its own; set "
            f"prompts.strategies.{missing[0]}.student to the student's prompt, with what asks for this view "
            "after {question}, or take prompts=views."
        )
    if unknown := [name for name in Settings.model_validate(config.options).noisy if name not in views]:
        raise ConfigError(
            f"options.noisy: {', '.join(unknown)} is none of the views in strategies: {', '.join(views)}."
        )


def run(lab: Lab, config: Config) -> Decision:
    """Train on the union of all views, and on each alone in as many steps; ask all students for every view."""
    views = tuple(config.strategies)
    written = lab.sample(
        TEACHER, lab.model("teacher"), Asked(problems=(TRAIN,), requested=views), config.generation.plan()
    )
    of_all = _trained(lab, config, ALL, views, written)
    as_long = Length(steps=of_all.steps)
    students = {ALL: of_all}
    students |= {ALONE + view: _trained(lab, config, ALONE + view, (view,), written, as_long) for view in views}
    exam = Asked(problems=(HELD_OUT, *lab.test_sets()), requested=(FREE, *views))
    answers = {
        name: lab.sample(StageId(Kind.ANSWERS, name), student, exam, config.evaluation.plan())
        for name, student in students.items()
    }
    alone = {ALONE + view: answers[ALONE + view].asked_for(view) for view in views}
    figures = {
        name: lab.measure(
            StageId(Kind.EVALUATION, name),
            dict.fromkeys(exam.problems, found),
            alone if name == ALL else {ALL: answers[ALL]},
        )
        for name, found in answers.items()
    }
    return lab.decide(StageId(Kind.DECISION, "mint"), lambda: _compared(figures, views))


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """The rows of each view, and the student of all views against that of each, asked for that view."""
    rows = [one.metrics for one in records if one.id == StageId(Kind.TABLE, ALL)]
    measured = [one.metrics for one in records if one.id == StageId(Kind.EVALUATION, ALL)]
    said = {"views": rows[0]["views"]} if rows else {}
    return said | {"claims": [claim for one in measured for claim in _claims(one)]}


def _trained(
    lab: Lab, config: Config, label: str, views: tuple[str, ...], written: Rollouts, length: Length | None = None
) -> Model:
    rule = ViewRule(
        views=views,
        templates=config.prompts.templates(),
        noisy=tuple(Settings.model_validate(config.options).noisy),
        accept=config.generation.accept,
    )
    rows = lab.select(StageId(Kind.TABLE, label), rule, teacher_rollouts=written)
    stage, objective = StageId(Kind.TRAINING, label), config.training.objective_spec()
    return lab.train(stage, lab.model("student"), rows, objective, length=length)


def _claims(figures: Figures) -> list[Any]:
    """On what selects nothing, where there is such a set."""
    tests = {name: one for name, one in figures.items() if name != HELD_OUT} or figures
    compared = {label: paired["requested"] for one in tests.values() for label, paired in one.get("paired", {}).items()}
    return [
        claim
        for label, view in compared.items()
        for claim in claims_of(tests, f"{ALL}, asked for {view},", f"{view} alone", label)
    ]


def _compared(figures: Mapping[str, Figures], views: Sequence[str]) -> Decision:
    """Means over views on the held-out problems; there is nothing to choose."""
    of_all = figures[ALL][HELD_OUT]
    together = [of_all["forced"][view] for view in views]
    alone = [figures[ALONE + view][HELD_OUT]["forced"][view] for view in views]
    reason = (
        f"asked for each of {len(views)} views, the student of all of them solves {sum(together) / len(views):.1%} of "
        f"the held-out problems on average, and those of one view {sum(alone) / len(views):.1%}; where it chooses it "
        f"solves {of_all['free']:.1%}"
    )
    return Decision(stop=True, best_iteration=0, reason=reason)
