"""SIKeD in one screen (arXiv 2410.18574, algorithm 1): a student learns from a teacher, then guides itself."""

from collections.abc import Sequence
from typing import Any

from siked_ray.core.claim import Record, gains_of_the_loop
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.stage import TEACHER, TEACHER_SCORES, Kind, StageId
from siked_ray.core.stopping import Decision, Measured, decide
from siked_ray.recipes._control import measure_twin, said_of_twin, train_twin
from siked_ray.recipes._reading import read_by_both
from siked_ray.recipes._samples import samples_beside
from siked_ray.recipes.verbs import Asked, Lab, Model, Rollouts, Scores, Table
from siked_ray.settings import Config

NEEDS_TEACHER = HAS_CONTROL = True
TRAIN, HELD_OUT = Split.TRAIN.value, Split.VALIDATION.value


def run(lab: Lab, config: Config) -> Decision:
    """Distil the teacher (iteration 0), then let the student guide itself until it stops gaining."""
    rules, sampling = config.iterations.rules(), config.generation.plan()
    every_strategy = Asked(problems=(TRAIN,), requested=tuple(config.strategies))
    of_student = every_strategy if config.iterations.generator == "self_forced" else _free(TRAIN)

    teacher = lab.sample(TEACHER, lab.model("teacher"), every_strategy, sampling)
    base = student = lab.model("student")
    students: list[Model] = []
    mixtures: list[Table] = []
    answers: list[Rollouts] = []
    scores: list[Scores] = []
    history: list[Measured] = []

    for iteration in range(rules.max_iterations + 1):
        own = lab.sample(_stage(Kind.ROLLOUTS, iteration), student, of_student, sampling) if iteration else None
        mixture = lab.select(
            _stage(Kind.MIXTURE, iteration),
            config.mixture_rule(iteration),
            teacher_rollouts=teacher,
            **({"student_rollouts": own} if own else {}),
        )
        mixtures.append(mixture)
        objective = config.objective_spec(corrects=iteration > 0)
        beside = lab.model("teacher") if objective.beside_teacher else None
        if objective.with_teacher:
            scores.append(_scored(lab, config, iteration, mixture, scores))
        start = student if config.iterations.start == "previous" else base
        student = lab.train(_stage(Kind.TRAINING, iteration), start, mixture, objective, beside, tuple(scores))
        students.append(student)
        answers.append(_answers(lab, config, iteration, student))
        history.append(_measured(lab, config, iteration, student, answers))

        decision = lab.decide(_stage(Kind.DECISION, iteration), lambda: decide(history, lab.spent(), rules))
        if decision.stop:
            break
        if decision.roll_back:
            student = students[decision.best_iteration]

    last = decision.best_iteration or (len(students) - 1 if config.control else 0)
    tested = _test(lab, config, sorted({0, decision.best_iteration, last}), students)
    if config.control and last:
        twin = train_twin(lab, config, students[last], mixtures[0], config.objective_spec(), tuple(scores[:1]))
        measure_twin(lab, config, twin, answers[last], tested)
    return decision


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Whether guiding itself was worth it."""
    return {"claims": gains_of_the_loop(records), **said_of_twin(records)}


def _stage(kind: Kind, iteration: int) -> StageId:
    return StageId.of_iteration(kind, iteration)


def _free(*problem_sets: str) -> Asked:
    return Asked(problems=problem_sets, requested=(FREE,))


def _scored(lab: Lab, config: Config, iteration: int, mixture: Table, known: list[Scores]) -> Scores:
    """The teacher's probabilities for the rows that are new. Those of iteration 0 are its own texts, which serve every
    student with its tokens."""
    stage = _stage(Kind.SCORES, iteration) if iteration else TEACHER_SCORES
    assert config.top_k, "an objective reads scores where settings have the teacher make them"
    return lab.score(stage, lab.model("teacher"), mixture, config.top_k, tuple(known))


def _answers(lab: Lab, config: Config, iteration: int, student: Model) -> Rollouts:
    """Greedy completions, free and forced, of the held-out problems and of test sets that do not wait for the end."""
    tests = lab.test_sets() if config.evaluation.test_sets == "every_iteration" else ()
    asked = Asked(problems=(HELD_OUT, *tests), requested=(FREE, *config.strategies))
    return lab.sample(_stage(Kind.ANSWERS, iteration), student, asked, config.evaluation.plan())


def _measured(lab: Lab, config: Config, iteration: int, student: Model, answers: list[Rollouts]) -> Measured:
    """What the free student did on the held-out problems; nothing else selects."""
    tests = lab.test_sets() if config.evaluation.test_sets == "every_iteration" else ()
    figures = lab.measure(
        _stage(Kind.EVALUATION, iteration),
        dict.fromkeys((HELD_OUT, *tests), answers[-1]),
        {"previous": answers[-2], "iteration_0": answers[0]} if iteration else {},
        read_by_both(lab, config, iteration, student, answers[-1]),
        samples_beside(lab, config, student, answers[-1], HELD_OUT, *tests),
    )
    return Measured(accuracy=figures[HELD_OUT]["free"], histogram=figures[HELD_OUT]["strategy_histogram"])


def _test(lab: Lab, config: Config, iterations: list[int], students: list[Model]) -> Rollouts | None:
    """Evaluate some iterations on test sets that waited for the end; the answers of the last one."""
    tests = lab.test_sets() if config.evaluation.test_sets == "end" else ()
    asked = Asked(problems=tests, requested=(FREE, *config.strategies))
    answers, earlier = None, dict[str, Rollouts]()
    for iteration in iterations if tests else ():
        answers = lab.sample(StageId.of_tests(iteration), students[iteration], asked, config.evaluation.plan())
        samples = samples_beside(lab, config, students[iteration], answers, *tests)
        lab.measure(_stage(Kind.TESTS, iteration), dict.fromkeys(tests, answers), earlier, samples=samples)
        earlier = {"iteration_0": answers} | ({"previous": answers} if iterations[-1] == 1 else {})
    return answers
