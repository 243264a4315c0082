"""Which strategy to try first (after SMART, arXiv 2410.16128): the student tries a problem its own way, then by other
strategies until one is right, and learns to begin with what worked."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from siked_ray.core.attempts import AttemptsMeasured, NextAttempt, Trying
from siked_ray.core.claim import Record, gains_of_the_loop
from siked_ray.core.objective import CROSS_ENTROPY
from siked_ray.core.problem import Split
from siked_ray.core.reasoning import Accept
from siked_ray.core.rollout import FREE
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import TEACHER, Kind, StageId
from siked_ray.core.stopping import Decision, Measured, decide
from siked_ray.core.what_worked import Beside, WhatWorked, said_of_attempts
from siked_ray.errors import ConfigError
from siked_ray.recipes._control import measure_twin, said_of_twin, train_twin
from siked_ray.recipes.verbs import Asked, Lab, Model, Rollouts, Table
from siked_ray.settings import Config
from siked_ray.settings.base import PositiveInt
from siked_ray.settings.base import Settings as Section

NEEDS_TEACHER = HAS_CONTROL = True
TRAIN, HELD_OUT = Split.TRAIN.value, Split.VALIDATION.value
NOTHING_WORKED = {"stop": True, "roll_back": False, "reason": "no attempt solved any training problem"}


class Settings(Section):
    """`options` in the file."""

    attempts: PositiveInt | None = Field(default=None, description="Attempts at a problem; as many as strategies.")
    order: list[str] = Field(default=[], description="Strategies as they are tried; empty: drawn for each problem.")
    teacher_rows: Beside = Field(default=Beside.FILL, description="`fill`: of problems that no attempt solved.")
    refine: bool = Field(default=False, description="Later attempts see the one that failed; they are learnt too.")
    retry_prompt: Annotated[str, Field(pattern=r"^[^{}]*\{attempt\}[^{}]*$")] = Field(
        default="{attempt}\n\nThat is wrong. Choose another strategy.\n\n",
        description="With `refine`, what follows the student's prompt.",
    )


def check(config: Config) -> None:
    """Whether the options go with the other settings."""
    _trying(config).check()
    if config.objective_spec(corrects=True) != CROSS_ENTROPY:
        raise ConfigError("recipe smart learns right solutions alone; leave training.objective and mixture.wrong out.")


def context_chars(config: Config) -> int:
    """What may follow the student's prompt, beside an attempt of `generation.max_new_tokens`; 0 where nothing does."""
    options = Settings.model_validate(config.options)
    return len(options.retry_prompt) if options.refine else 0


def run(lab: Lab, config: Config) -> Decision:
    """SIKeD's iteration 0, then rounds of attempts, until the student's first ones stop gaining."""
    rules, every_strategy = config.iterations.rules(), Asked(problems=(TRAIN,), requested=tuple(config.strategies))
    told = lab.sample(TEACHER, lab.model("teacher"), every_strategy, config.generation.plan())
    taught = lab.select(_stage(Kind.MIXTURE, 0), config.mixture_rule(0), teacher_rollouts=told)
    base = student = lab.model("student")
    students: list[Model] = []
    answers: list[Rollouts] = []
    history: list[Measured] = []
    decision = Decision(stop=False, best_iteration=0, reason="")

    for iteration in range(rules.max_iterations + 1):
        rows = _what_worked(lab, config, iteration, student, told) if iteration else taught
        if rows.figures.get("solved") == 0:
            decision = lab.decide(_stage(Kind.DECISION, iteration), partial(replace, decision, **NOTHING_WORKED))
            break
        start = student if config.iterations.start == "previous" else base
        student = lab.train(_stage(Kind.TRAINING, iteration), start, rows, CROSS_ENTROPY)
        students.append(student)
        history.append(_measured(lab, config, iteration, student, answers))
        decision = lab.decide(_stage(Kind.DECISION, iteration), lambda: decide(history, lab.spent(), rules))
        if decision.stop:
            break
        if decision.roll_back:
            student = students[decision.best_iteration]

    last = decision.best_iteration or len(students) - 1
    if config.control and last:
        twin = train_twin(lab, config, students[last], taught, CROSS_ENTROPY)
        measure_twin(lab, config, twin, answers[last], None)
    return decision


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Whether it was worth it; and what the attempts came to, when measured and in training."""
    return {"claims": gains_of_the_loop(records), **said_of_twin(records), "smart": said_of_attempts(records)}


def _stage(kind: Kind, iteration: int, label: str = "") -> StageId:
    return StageId(kind, f"{iteration:02d}_{label}" if label else f"{iteration:02d}", iteration)


def _trying(config: Config, accept: Accept = Accept.ANSWER) -> Trying:
    options = Settings.model_validate(config.options)
    return Trying(
        strategies=tuple(config.strategies),
        num_attempts=options.attempts or len(config.strategies),
        seed=config.seed,
        order=tuple(options.order),
        retry_prompt=options.retry_prompt if options.refine else None,
        accept=accept,
    )


def _what_worked(lab: Lab, config: Config, iteration: int, student: Model, told: Rollouts) -> Table:
    """Rows out of attempts at the training problems, one sample each."""
    how = replace(config.generation.plan(), num_samples=1, keep=None)
    trying, free = _trying(config, how.accept), Asked(problems=(TRAIN,), requested=(FREE,))
    first = lab.sample(_stage(Kind.ROLLOUTS, iteration, "try_1"), student, free, how)
    tries = _tries(lab, student, first, free, trying, how)
    beside = Settings.model_validate(config.options).teacher_rows
    rule = WhatWorked(trying=trying, templates=config.prompts.templates(), beside=beside)
    return lab.select(_stage(Kind.MIXTURE, iteration), rule, teacher_rollouts=told, **tries)


def _tries(
    lab: Lab, student: Model, first: Rollouts, asked: Asked, trying: Trying, how: SamplingPlan
) -> dict[str, Rollouts]:
    """The first attempts, which were `asked`, and those after: each has the problems that no earlier one solved."""
    tries, kind, iteration = {"try_1": first}, first.stage.kind, first.stage.iteration or 0
    for number in range(2, trying.num_attempts + 1):
        rule = NextAttempt(trying=trying, attempt=number, asked_each=len(asked.requested))
        asks = lab.select(_stage(Kind.TABLE, iteration, f"{kind}_asks_{number}"), rule, **tries)
        again = Asked(problems=asked.problems, table=asks)
        tries[f"try_{number}"] = lab.sample(_stage(kind, iteration, f"try_{number}"), student, again, how)
    return tries


def _measured(lab: Lab, config: Config, iteration: int, student: Model, answers: list[Rollouts]) -> Measured:
    """First attempts decide. Forced answers are the further ones too, where these do not see what failed."""
    exam = Asked(problems=(HELD_OUT, *lab.test_sets()), requested=(FREE, *config.strategies))
    trying, how = _trying(config), config.evaluation.plan()
    answers.append(lab.sample(_stage(Kind.ANSWERS, iteration), student, exam, how))
    tries = {f"try_{number}": answers[-1] for number in range(1, trying.num_attempts + 1)}
    if trying.retry_prompt:
        tries = _tries(lab, student, answers[-1], exam, trying, how)
    for name in exam.problems:
        rule = AttemptsMeasured(trying=trying, problem_set=name)
        lab.select(_stage(Kind.TABLE, iteration, f"attempts_{name}"), rule, **tries)
    against = {"previous": answers[-2], "iteration_0": answers[0]} if iteration else {}
    figures = lab.measure(_stage(Kind.EVALUATION, iteration), dict.fromkeys(exam.problems, answers[-1]), against)
    return Measured(accuracy=figures[HELD_OUT]["free"], histogram=figures[HELD_OUT]["strategy_histogram"])
