"""On-policy distillation (after arXiv 2306.13649): the student writes, the teacher says what it would have said at each
token, the student moves there; again with what it writes then. Nothing is filtered by whether an answer is right."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from siked_ray.core.claim import Record, gains_of_the_loop
from siked_ray.core.objective import CROSS_ENTROPY, ObjectiveSpec
from siked_ray.core.own_texts import OwnTexts
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.core.stopping import Decision, Measured, decide
from siked_ray.errors import ConfigError
from siked_ray.recipes._control import measure_twin, said_of_twin, train_twin
from siked_ray.recipes._reading import read_by_both
from siked_ray.recipes._samples import samples_beside
from siked_ray.recipes.verbs import Asked, Lab, Model, Rollouts, Table
from siked_ray.settings import Config
from siked_ray.settings.base import PositiveInt
from siked_ray.settings.base import Settings as Section

NEEDS_TEACHER = HAS_CONTROL = True
TRAIN, HELD_OUT = Split.TRAIN.value, Split.VALIDATION.value


class Settings(Section):
    """`options` in the file."""

    start: Literal["iteration_0", "base"] = Field(
        default="iteration_0",
        description="`iteration_0`: first learn the teacher's right solutions as SIKeD does, so that what the student "
        "writes is something that the teacher knows about; `base`: begin with the student as it is.",
    )
    samples: PositiveInt = Field(default=1, description="Texts of each (problem, strategy) in a round.")


def objectives(config: Config) -> dict[str, ObjectiveSpec]:
    """The divergence of `training.objective`, reverse KL by default, without cross-entropy: own texts are no model."""
    training = config.training
    if training.objective == "hidden_mse":
        raise ConfigError("recipe on_policy: training.objective hidden_mse says nothing of tokens; take reverse_kl.")
    if training.objective == "cross_entropy":
        training = training.model_copy(update={"objective": "reverse_kl"})
    spec = training.objective_spec(stored=config.top_k is not None)
    return {"rounds": replace(spec, options={**spec.options, "cross_entropy_weight": 0.0})}


def run(lab: Lab, config: Config) -> Decision:
    """Rounds, as SIKeD's iterations, until the student stops gaining."""
    options, rules = Settings.model_validate(config.options), config.iterations.rules()
    forced = config.iterations.generator == "self_forced"
    asked = Asked(problems=(TRAIN,), requested=tuple(config.strategies) if forced else (FREE,))
    how = replace(config.generation.plan(), num_samples=options.samples, keep=None)
    taught = _teachers_rows(lab, config) if options.start == "iteration_0" or config.control else None
    student = lab.model("student")
    if options.start == "iteration_0" and taught:
        student = lab.train(_stage(Kind.TRAINING, 0), student, taught, CROSS_ENTROPY)
    students: list[Model] = [student]
    answers: list[Rollouts] = []
    history: list[Measured] = []

    for iteration in range(rules.max_iterations + 1):
        if iteration:
            own = lab.sample(_stage(Kind.ROLLOUTS, iteration), student, asked, how)
            student = _round(lab, config, iteration, student, own)
            students.append(student)
        history.append(_measured(lab, config, iteration, student, answers))
        decision = lab.decide(_stage(Kind.DECISION, iteration), lambda: decide(history, lab.spent(), rules))
        if decision.stop:
            break
        if decision.roll_back:
            student = students[decision.best_iteration]
    last = decision.best_iteration or len(students) - 1
    if config.control and taught and last:
        twin = train_twin(lab, config, students[last], taught, CROSS_ENTROPY)
        measure_twin(lab, config, twin, answers[last], None)
    return decision


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Whether the rounds were worth it."""
    return {"claims": gains_of_the_loop(records), **said_of_twin(records)}


def _stage(kind: Kind, iteration: int) -> StageId:
    return StageId.of_iteration(kind, iteration)


def _teachers_rows(lab: Lab, config: Config) -> Table:
    """The rows of SIKeD's iteration 0: the teacher's first right solutions as texts."""
    every_strategy = Asked(problems=(TRAIN,), requested=tuple(config.strategies))
    solutions = lab.sample(TEACHER, lab.model("teacher"), every_strategy, config.generation.plan())
    return lab.select(_stage(Kind.MIXTURE, 0), config.mixture_rule(0), teacher_rollouts=solutions)


def _round(lab: Lab, config: Config, iteration: int, student: Model, own: Rollouts) -> Model:
    """Train the student that wrote them on its own texts. They are at most one round old, and a divergence at given
    tokens needs no weights for that: what is stale is which texts are looked at, not what is said of them."""
    spec, teacher = objectives(config)["rounds"], lab.model("teacher")
    rule = OwnTexts(strategies=tuple(config.strategies), templates=config.prompts.templates())
    rows = lab.select(_stage(Kind.MIXTURE, iteration), rule, student_rollouts=own)
    training = _stage(Kind.TRAINING, iteration)
    if config.top_k is None:
        return lab.train(training, student, rows, spec, teacher)
    scores = lab.score(_stage(Kind.SCORES, iteration), teacher, rows, config.top_k)
    return lab.train(training, student, rows, spec, scores=(scores,))


def _measured(lab: Lab, config: Config, iteration: int, student: Model, answers: list[Rollouts]) -> Measured:
    exam = Asked(problems=(HELD_OUT, *lab.test_sets()), requested=(FREE, *config.strategies))
    answers.append(lab.sample(_stage(Kind.ANSWERS, iteration), student, exam, config.evaluation.plan()))
    against = {"previous": answers[-2], "iteration_0": answers[0]} if iteration else {}
    asked = dict.fromkeys(exam.problems, answers[-1])
    reading = read_by_both(lab, config, iteration, student, answers[-1])
    samples = samples_beside(lab, config, student, answers[-1], *exam.problems)
    figures = lab.measure(_stage(Kind.EVALUATION, iteration), asked, against, reading, samples)
    return Measured(accuracy=figures[HELD_OUT]["free"], histogram=figures[HELD_OUT]["strategy_histogram"])
