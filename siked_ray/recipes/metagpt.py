"""MetaGPT (arXiv 2406.11385): a specialist per strategy from one base, merged by their own task vectors, without data
and without search; beside the average, each specialist, and one student of all rows in as many steps."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from siked_ray.core.claim import Claim, Record, claims_of
from siked_ray.core.merge_rule import MergeRule, RuleName
from siked_ray.core.mixture_rule import MixtureRule
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.core.stopping import Decision
from siked_ray.recipes._samples import samples_beside
from siked_ray.recipes.verbs import Asked, Figures, Lab, Model, Rollouts
from siked_ray.settings import Config
from siked_ray.settings.base import Settings as Section

NEEDS_TEACHER = True
TRAIN, HELD_OUT = Split.TRAIN.value, Split.VALIDATION.value
COMBINED = "combined"


class Settings(Section):
    """`options` in the file."""

    rules: Annotated[list[RuleName], Field(min_length=1)] = Field(
        default=[RuleName.AVERAGE, RuleName.METAGPT], description="How the specialists are merged, a student for each."
    )
    weight: float = Field(default=0.3, description="λ of every specialist under the rule task_arithmetic.")


def run(lab: Lab, config: Config) -> Decision:
    """Sample the teacher once, train on all rows and on each strategy's, merge, and measure all of them."""
    options, strategies = Settings.model_validate(config.options), tuple(config.strategies)
    asked = Asked(problems=(TRAIN,), requested=strategies)
    solutions = lab.sample(TEACHER, lab.model("teacher"), asked, config.generation.plan())
    base = lab.model("student")
    students = {COMBINED: _trained(lab, config, COMBINED, strategies, base, solutions)}
    parts = {name: _trained(lab, config, f"only_{name}", (name,), base, solutions) for name in strategies}
    students |= {f"only_{name}": part for name, part in parts.items()}
    for rule in options.rules:
        weights = dict.fromkeys(parts, options.weight) if rule is RuleName.GIVEN else {}
        merged = lab.merge(StageId(Kind.MERGE, rule.value), base, parts, MergeRule(rule=rule, weights=weights))
        students[rule.value] = merged
    figures = _measured(lab, config, students)
    return lab.decide(StageId(Kind.DECISION, "metagpt"), lambda: _best(figures))


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Each merged student against the one of all rows, and MetaGPT's against the others; on what selects nothing where
    there is such a set."""
    measured = {one.id.label: one.metrics for one in records if one.id.kind is Kind.EVALUATION}
    rules = [one.id.label for one in records if one.id.kind is Kind.MERGE]
    claims = [claim for rule in rules if rule in measured for claim in _claims(measured[rule], rule)]
    return {"claims": claims}


def _trained(
    lab: Lab, config: Config, label: str, strategies: tuple[str, ...], base: Model, solutions: Rollouts
) -> Model:
    rule = MixtureRule(
        strategies=strategies, rules=config.mixture.rules(), iteration=0, templates=config.prompts.templates()
    )
    rows = lab.select(StageId(Kind.TABLE, label), rule, teacher_rollouts=solutions)
    return lab.train(StageId(Kind.TRAINING, label), base, rows, config.training.objective_spec())


def _measured(lab: Lab, config: Config, students: Mapping[str, Model]) -> dict[str, Figures]:
    """Each student against those before it."""
    exam = Asked(problems=(HELD_OUT, *lab.test_sets()), requested=(FREE, *config.strategies))
    answers: dict[str, Rollouts] = {}
    figures: dict[str, Figures] = {}
    for label, student in students.items():
        found = lab.sample(StageId(Kind.ANSWERS, label), student, exam, config.evaluation.plan())
        asked = dict.fromkeys(exam.problems, found)
        samples = samples_beside(lab, config, student, found, *exam.problems)
        figures[label] = lab.measure(StageId(Kind.EVALUATION, label), asked, dict(answers), samples=samples)
        answers[label] = found
    return figures


def _claims(figures: Figures, rule: str) -> list[Claim]:
    tests = {name: one for name, one in figures.items() if name != HELD_OUT} or figures
    others = dict.fromkeys(label for one in tests.values() for label in one.get("paired", {}))
    return [claim for other in others for claim in claims_of(tests, rule, other, other)]


def _best(figures: Mapping[str, Figures]) -> Decision:
    """By held-out free accuracy."""
    free = {label: one[HELD_OUT]["free"] for label, one in figures.items()}
    best = max(free, key=lambda label: free[label])
    shown = ", ".join(f"{label} {accuracy:.1%}" for label, accuracy in free.items())
    return Decision(stop=True, best_iteration=0, reason=f"{best} solves most held-out problems ({shown})")
