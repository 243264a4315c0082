import pytest

from siked_ray.core.stopping import Decision, Measured, Spent, StoppingRules
from siked_ray.loop import LoopRules, run_loop


class Interrupted(Exception):
    pass


class FakeStages:
    """Stages whose results are strings that say what they were made of. Like the real ones they are idempotent:
    what is in `committed` is returned and not run again. `work` lists what was really run, in order."""

    def __init__(self, accuracies: list[float], *, fail_at: str | None = None) -> None:
        self.accuracies = accuracies
        self.fail_at = fail_at
        self.committed: dict[str, object] = {}
        self.work: list[str] = []
        self.starts: list[tuple[int, str, str]] = []
        self.decisions: dict[int, Decision] = {}

    def _once(self, stage: str, result: object):
        if stage not in self.committed:
            if stage == self.fail_at:
                raise Interrupted(stage)
            self.work.append(stage)
            self.committed[stage] = result
        return self.committed[stage]

    def sample_teacher(self) -> str:
        return self._once("teacher", "teacher rollouts")

    def base_student(self) -> str:
        return "base"

    def sample_student(self, student: str, iteration: int) -> str:
        return self._once(f"sample {iteration} {student}", f"rollouts of {student}")

    def mix(self, iteration: int, teacher: str, student: str | None) -> str:
        return self._once(f"mix {iteration}", f"{teacher} + {student}")

    def train(self, iteration: int, start: str, mixture: str) -> str:
        self.starts.append((iteration, start, mixture))
        return self._once(f"train {iteration}", f"student {iteration}")

    def evaluate(self, iteration: int, student: str) -> Measured:
        assert student == f"student {iteration}"
        histogram = {"cot": 0.5, "pot": 0.5}
        return self._once(f"evaluate {iteration}", Measured(accuracy=self.accuracies[iteration], histogram=histogram))

    def spent(self) -> Spent:
        return Spent(tokens=100.0 * len(self.committed))

    def record(self, iteration: int, decision: Decision) -> None:
        self.decisions[iteration] = self._once(f"decide {iteration}", decision)

    def finish(self, decision: Decision) -> None:
        self._once("finish", decision)


def rules(*, start: str = "previous", **changes) -> LoopRules:
    stopping = StoppingRules(**({"max_iterations": 2, "patience": 1, "min_gain": 0.01} | changes))
    return LoopRules(stopping=stopping, start=start)


RISING = [0.1, 0.2, 0.3, 0.4, 0.5]


def test_the_stages_run_in_the_order_of_the_method():
    stages = FakeStages(RISING)
    run_loop(stages, rules(max_iterations=2))
    assert stages.work == [
        "teacher",
        *("mix 0", "train 0", "evaluate 0", "decide 0"),
        *("sample 1 student 0", "mix 1", "train 1", "evaluate 1", "decide 1"),
        *("sample 2 student 1", "mix 2", "train 2", "evaluate 2", "decide 2"),
        "finish",
    ]


def test_iteration_zero_is_plain_distillation():
    stages = FakeStages(RISING)
    run_loop(stages, rules(max_iterations=0))
    assert stages.starts == [(0, "base", "teacher rollouts + None")]
    assert stages.work[-2:] == ["decide 0", "finish"]
    assert stages.decisions[0].stop


@pytest.mark.parametrize(
    ("start", "expected"), [("previous", ["base", "student 0", "student 1"]), ("base", ["base", "base", "base"])]
)
def test_where_an_iteration_starts_from(start: str, expected: list[str]):
    stages = FakeStages(RISING)
    run_loop(stages, rules(start=start))
    assert [one for _, one, _ in stages.starts] == expected
    assert [one for _, _, one in stages.starts][1:] == [
        "teacher rollouts + rollouts of student 0",
        "teacher rollouts + rollouts of student 1",
    ], "the student that samples is always the latest one"


@pytest.mark.parametrize(("patience", "last"), [(1, 2), (2, 3), (3, 4)])
def test_patience_ends_the_loop(patience: int, last: int):
    stages = FakeStages([0.1, 0.4, 0.3, 0.35, 0.2, 0.9])
    decision = run_loop(stages, rules(max_iterations=5, patience=patience))
    assert list(stages.decisions) == list(range(last + 1)), "a decision is written after every iteration"
    assert [one.stop for one in stages.decisions.values()] == [False] * last + [True]
    assert decision == stages.decisions[last]
    assert decision.best_iteration == 1


def test_the_maximum_ends_a_loop_that_still_gains():
    stages = FakeStages(RISING)
    decision = run_loop(stages, rules(max_iterations=3))
    assert (decision.best_iteration, decision.stop, len(stages.decisions)) == (3, True, 4)


def test_after_a_collapse_the_best_student_samples_and_is_trained_on():
    stages = FakeStages([0.3, 0.5, 0.2, 0.6])
    decision = run_loop(stages, rules(max_iterations=3, patience=3, max_drop=0.1))
    assert [one.roll_back for one in stages.decisions.values()] == [False, False, True, False]
    assert "sample 3 student 1" in stages.work, "not student 2, which collapsed"
    assert stages.starts[3][1] == "student 1"
    assert decision.best_iteration == 3


def test_a_budget_ends_the_loop_between_iterations():
    stages = FakeStages(RISING)
    decision = run_loop(stages, rules(max_iterations=4, budget=Spent(tokens=500)))
    assert list(stages.decisions) == [0, 1], "300 tokens after iteration 0, 800 after iteration 1"
    assert "budget of 500 tokens" in decision.reason


def test_a_finished_loop_does_nothing_again():
    stages = FakeStages(RISING)
    first = run_loop(stages, rules())
    num_runs = len(stages.work)
    assert run_loop(stages, rules()) == first
    assert len(stages.work) == num_runs


ALL_STAGES = (
    ["teacher"]
    + [
        name
        for iteration in range(3)
        for name in (
            *([f"sample {iteration} student {iteration - 1}"] if iteration else []),
            f"mix {iteration}",
            f"train {iteration}",
            f"evaluate {iteration}",
            f"decide {iteration}",
        )
    ]
    + ["finish"]
)


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_loop_that_was_interrupted_continues_where_it_stood(stage: str):
    whole = FakeStages(RISING)
    expected = run_loop(whole, rules())

    stages = FakeStages(RISING, fail_at=stage)
    with pytest.raises(Interrupted):
        run_loop(stages, rules())
    stages.fail_at = None
    assert run_loop(stages, rules()) == expected
    assert stages.work == whole.work == ALL_STAGES
    assert stages.committed == whole.committed
