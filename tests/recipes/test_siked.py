from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from siked_ray.config import Config
from siked_ray.core.objective import CROSS_ENTROPY, ObjectiveSpec
from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.stage import Kind, StageId
from siked_ray.core.stopping import Decision, Spent
from siked_ray.core.training_plan import Length
from siked_ray.recipes import siked
from siked_ray.recipes.verbs import Asked, Model, Reading, Rollouts, Scores, Table


class Interrupted(Exception):
    pass


class FakeLab:
    """A lab whose references say what they were made of. Like the real one it is idempotent: what is in `committed`
    is returned and not run again. `work` lists the stages that were really run, in order."""

    def __init__(self, accuracies: list[float], *, fail_at: str | None = None) -> None:
        self.accuracies = accuracies
        self.fail_at = fail_at
        self.committed: dict[str, Any] = {}
        self.work: list[str] = []
        self.asked: dict[str, tuple[str, Asked, SamplingPlan]] = {}
        self.selected_from: dict[str, Mapping[str, str]] = {}
        self.starts: list[str] = []
        self.compared: dict[str, Mapping[str, str]] = {}
        self.decisions: list[Decision] = []
        self.objectives: dict[str, tuple[ObjectiveSpec, Model | None, list[str]]] = {}
        self.rules: dict[str, Any] = {}
        self.lengths: dict[str, tuple[str, Length | None]] = {}
        self.readings: dict[str, Reading | None] = {}
        self.sampled: dict[str, str | None] = {}
        self.scored: dict[str, tuple[str, str, int, list[str]]] = {}

    def _once(self, stage: StageId, result: Any) -> Any:
        if stage.name not in self.committed:
            if stage.name == self.fail_at:
                raise Interrupted(stage.name)
            self.work.append(stage.name)
            self.committed[stage.name] = result
        return self.committed[stage.name]

    def model(self, name: str) -> Model:
        return Model(engines=name, weights=name, fingerprint="")

    def test_sets(self) -> tuple[str, ...]:
        return ("more",)

    def sample(self, stage: StageId, model: Model, asked: Asked, how: SamplingPlan) -> Rollouts:
        self.asked[stage.name] = (model.weights, asked, how)
        return self._once(stage, Rollouts(stage=stage, folder=f"{stage.name} of {model.weights}", fingerprint=""))

    def select(self, stage: StageId, rule: Any, **tables: Rollouts) -> Table:
        self.rules[stage.name] = rule
        self.selected_from[stage.name] = {name: one.folder for name, one in tables.items()}
        return self._once(stage, Table(file=stage.name, fingerprint=""))

    def score(self, stage: StageId, teacher: Model, rows: Table, top_k: int, known: Sequence[Scores] = ()) -> Scores:
        self.scored[stage.name] = (teacher.weights, rows.file, top_k, [one.folder for one in known])
        return self._once(stage, Scores(folder=stage.name, fingerprint=""))

    def train(
        self,
        stage: StageId,
        start: Model,
        rows: Table,
        objective: ObjectiveSpec,
        beside: Model | None = None,
        scores: Sequence[Scores] = (),
        length: Length | None = None,
    ) -> Model:
        """Takes 10 steps of 100 tokens."""
        self.objectives[stage.name] = (objective, beside, [one.folder for one in scores])
        self.starts.append(start.weights)
        self.lengths[stage.name] = (rows.file, length)
        name = stage.label if stage.iteration is None else stage.iteration
        trained = Model(
            engines="student",
            weights=f"student {name}",
            fingerprint="",
            steps=start.steps + 10,
            tokens=start.tokens + 1000,
        )
        return self._once(stage, trained)

    def merge(self, *_: Any) -> Model:
        raise AssertionError("SIKeD merges nothing")

    def measure(
        self,
        stage: StageId,
        answers: Mapping[str, Rollouts],
        against: Any = None,
        reading: Reading | None = None,
        samples: Rollouts | None = None,
    ) -> Any:
        self.sampled[stage.name] = samples.folder if samples else None
        self.readings[stage.name] = reading
        self.compared[stage.name] = {name: one.folder for name, one in (against or {}).items()}
        figures = {"free": self.accuracies[stage.iteration or 0], "strategy_histogram": {"cot": 0.5, "pot": 0.5}}
        return self._once(stage, dict.fromkeys(answers, figures))

    def decide(self, stage: StageId, make: Callable[[], Decision]) -> Decision:
        self.decisions.append(make())
        return self._once(stage, self.decisions[-1])

    def spent(self) -> Spent:
        return Spent(tokens=100.0 * sum(name.startswith(("roll", "mix", "train")) for name in self.committed))


RISING = [0.1, 0.2, 0.3, 0.4, 0.5]
Make = Callable[..., Config]


@pytest.fixture
def config(make_config: Make) -> Make:
    """Settings of SIKeD with two iterations; more as `key=value` below `iterations`."""

    def make(*overrides: str, **iterations: Any) -> Config:
        values = {"max": 2, "patience": 1, "min_gain": 0.01} | iterations
        return make_config(*overrides, *(f"iterations.{key}={value}" for key, value in values.items()))

    return make


def test_the_stages_run_in_the_order_of_the_method(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config())
    assert lab.work == [
        "rollouts_teacher",
        *("mixture_00", "training_00", "answers_00", "evaluation_00", "decision_00"),
        *("rollouts_01", "mixture_01", "training_01", "answers_01", "evaluation_01", "decision_01"),
        *("rollouts_02", "mixture_02", "training_02", "answers_02", "evaluation_02", "decision_02"),
    ]


def test_samples_at_t_above_zero_are_drawn_of_every_student_where_they_are_asked_for(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config("evaluation.samples=8", "evaluation.temperature=0.6", max=1))
    assert lab.work[3:6] == ["answers_00", "samples_00", "evaluation_00"]
    weights, asked, how = lab.asked["samples_01"]
    assert (weights, asked.problems, asked.requested) == ("student 1", ("validation", "more"), ("free",))
    assert (how.num_samples, how.keep, how.temperature, how.top_p) == (8, None, 0.6, 0.95)
    assert lab.sampled == {f"evaluation_0{i}": f"samples_0{i} of student {i}" for i in range(2)}


def test_without_them_nothing_is_drawn_and_nothing_measured(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config(max=1))
    assert not any(name.startswith("samples") for name in lab.work)
    assert lab.sampled == {"evaluation_00": None, "evaluation_01": None}


def test_iteration_zero_is_plain_distillation(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config(max=0))
    assert lab.starts == ["student"]
    assert lab.selected_from == {"mixture_00": {"teacher_rollouts": "rollouts_teacher of teacher"}}
    assert [one.stop for one in lab.decisions] == [True]


@pytest.mark.parametrize(
    ("start", "expected"), [("previous", ["student", "student 0", "student 1"]), ("base", ["student"] * 3)]
)
def test_where_an_iteration_starts_from(config: Make, start: str, expected: list[str]):
    lab = FakeLab(RISING)
    siked.run(lab, config(start=start))
    assert lab.starts == expected
    assert [lab.selected_from[f"mixture_0{i}"]["student_rollouts"] for i in (1, 2)] == [
        "rollouts_01 of student 0",
        "rollouts_02 of student 1",
    ], "the student that samples is always the latest one"


@pytest.mark.parametrize(("generator", "asked"), [("self_forced", ("cot", "l2m", "pot")), ("self_free", ("free",))])
def test_what_the_student_is_asked(config: Make, generator: str, asked: tuple[str, ...]):
    lab = FakeLab(RISING)
    settings = config(generator=generator)
    siked.run(lab, settings)
    assert lab.asked["rollouts_01"] == (
        "student 0",
        Asked(problems=("train",), requested=asked),
        settings.generation.plan(),
    )
    assert lab.asked["rollouts_teacher"][1].requested == ("cot", "l2m", "pot")


def test_an_evaluation_is_greedy_free_and_forced_and_compares(config: Make):
    lab = FakeLab(RISING)
    settings = config()
    siked.run(lab, settings)
    _, asked, how = lab.asked["answers_02"]
    assert asked == Asked(problems=("validation", "more"), requested=("free", "cot", "l2m", "pot"))
    assert how == settings.evaluation.plan() and how.temperature == 0
    assert lab.compared["evaluation_00"] == {}
    assert lab.compared["evaluation_02"] == {
        "previous": "answers_01 of student 1",
        "iteration_0": "answers_00 of student 0",
    }


def test_test_sets_that_wait_for_the_end_see_iteration_zero_and_the_best(config: Make):
    lab = FakeLab([0.1, 0.2, 0.3, 0.05])
    siked.run(lab, config("evaluation.test_sets=end", max=3))
    assert lab.asked["answers_00"][1].problems == ("validation",)
    assert lab.work[-4:] == ["answers_tests_00", "tests_00", "answers_tests_02", "tests_02"]
    assert lab.compared["tests_02"] == {"iteration_0": "answers_tests_00 of student 0"}


@pytest.mark.parametrize(("patience", "last"), [(1, 2), (2, 3), (3, 4)])
def test_patience_ends_the_loop(config: Make, patience: int, last: int):
    lab = FakeLab([0.1, 0.4, 0.3, 0.35, 0.2, 0.9])
    decision = siked.run(lab, config(max=5, patience=patience))
    assert [one.stop for one in lab.decisions] == [False] * last + [True], "one after every iteration"
    assert decision == lab.decisions[last]
    assert decision.best_iteration == 1


def test_the_maximum_ends_a_loop_that_still_gains(config: Make):
    lab = FakeLab(RISING)
    decision = siked.run(lab, config(max=3))
    assert (decision.best_iteration, decision.stop, len(lab.decisions)) == (3, True, 4)


def test_after_a_collapse_the_best_student_samples_and_is_trained_on(config: Make):
    lab = FakeLab([0.3, 0.5, 0.2, 0.6])
    decision = siked.run(lab, config(max=3, patience=3, max_drop=0.1))
    assert [one.roll_back for one in lab.decisions] == [False, False, True, False]
    assert lab.asked["rollouts_03"][0] == "student 1", "not student 2, which collapsed"
    assert lab.starts[3] == "student 1"
    assert decision.best_iteration == 3


def test_a_budget_ends_the_loop_between_iterations(config: Make):
    lab = FakeLab(RISING)
    decision = siked.run(lab, config(max=4, max_tokens=500))
    assert len(lab.decisions) == 2, "300 tokens after iteration 0, 600 after iteration 1"
    assert "budget of 500 tokens" in decision.reason


def test_a_finished_loop_does_nothing_again(config: Make):
    lab = FakeLab(RISING)
    first = siked.run(lab, config())
    num_runs = len(lab.work)
    assert siked.run(lab, config()) == first
    assert len(lab.work) == num_runs


ALL_STAGES = ["rollouts_teacher"] + [
    StageId.of_iteration(kind, iteration).name
    for iteration in range(3)
    for kind in (Kind.ROLLOUTS, Kind.MIXTURE, Kind.TRAINING, Kind.ANSWERS, Kind.EVALUATION, Kind.DECISION)
    if (kind, iteration) != (Kind.ROLLOUTS, 0)
]


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_loop_that_was_interrupted_continues_where_it_stood(config: Make, stage: str):
    whole = FakeLab(RISING)
    expected = siked.run(whole, config())

    lab = FakeLab(RISING, fail_at=stage)
    with pytest.raises(Interrupted):
        siked.run(lab, config())
    lab.fail_at = None
    assert siked.run(lab, config()) == expected
    assert lab.work == whole.work == ALL_STAGES
    assert lab.committed == whole.committed


TEACHER_MODEL = "teacher={source: vllm, model: 'world:teacher'}"


def test_what_training_minimises_is_cross_entropy_unless_it_is_asked_for_more(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config())
    assert set(lab.objectives) == {f"training_0{number}" for number in range(3)}
    assert all(one == (CROSS_ENTROPY, None, []) for one in lab.objectives.values()) and not lab.scored


def test_a_teacher_in_the_worker_goes_along(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config(TEACHER_MODEL, "training={objective: jsd, distillation: {beta: 0.2}}", max=0))
    objective, beside, scores = lab.objectives["training_00"]
    assert (objective.kind, objective.options["beta"], objective.beside_teacher) == ("jsd", 0.2, True)
    assert beside == lab.model("teacher") and not scores and not lab.scored


def test_stored_probabilities_are_made_before_each_training_and_known_from_then_on(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config(TEACHER_MODEL, "teacher.logprobs=16", "training.objective=reverse_kl", max=1))
    assert {name: one for name, one in lab.scored.items() if name.startswith("scores")} == {
        "scores_teacher": ("teacher", "mixture_00", 16, []),
        "scores_01": ("teacher", "mixture_01", 16, ["scores_teacher"]),
    }


def test_where_the_teacher_scores_both_read_what_the_student_wrote_of_held_out_problems(config: Make):
    lab = FakeLab(RISING)
    siked.run(lab, config(TEACHER_MODEL, "teacher.logprobs=16", "training.objective=reverse_kl", max=1))
    for n in (0, 1):
        rows = f"table_held_out_0{n}"
        assert lab.selected_from[rows] == {"student_rollouts": f"answers_0{n} of student {n}"}
        assert lab.rules[rows].problem_set == "validation"
        assert lab.scored[f"reading_teacher_0{n}"] == ("teacher", rows, 16, [])
        assert lab.scored[f"reading_student_0{n}"] == (f"student {n}", rows, 16, [])
        reading = lab.readings[f"evaluation_0{n}"]
        assert reading is not None and reading.student.weights == f"student {n}"
        assert (reading.by_teacher.folder, reading.by_student.folder) == (
            f"reading_teacher_0{n}",
            f"reading_student_0{n}",
        )
    plain = FakeLab(RISING)
    siked.run(plain, config(max=1))
    assert not plain.scored and set(plain.readings.values()) == {None}
    objective, beside, scores = lab.objectives["training_01"]
    assert objective.with_teacher and beside is None and scores == ["scores_teacher", "scores_01"]


def test_own_wrong_solutions_are_corrected_from_iteration_1_on(config: Make):
    lab = FakeLab(RISING)
    wrong = "mixture={wrong: teacher_kl, wrong_weight: 0.5, divergence_threshold: 1}"
    siked.run(lab, config(TEACHER_MODEL, wrong, max=1))
    first, second = (lab.objectives[f"training_0{number}"] for number in range(2))
    assert first == (CROSS_ENTROPY, None, [])
    spec, beside, _ = second
    assert spec.kind == "reverse_kl" and spec.corrects and beside == lab.model("teacher")
    kept = {"weight": 0.0, "cross_entropy_weight": 1.0, "temperature": 1.0}
    assert spec.options == kept | {"wrong_weight": 0.5, "divergence_threshold": 1.0}
    assert [lab.rules[f"mixture_0{number}"].with_wrong for number in range(2)] == [False, True]
