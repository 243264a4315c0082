"""SIKeD in one screen (arXiv 2410.18574, algorithm 1). No Ray, torch or vLLM in here.

Every stage is idempotent: it returns what is committed if it has run before. The values that pass between the
stages are references (paths, counts), never the data; what they hold is the business of the stages.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from siked_ray.core.stopping import Decision, Measured, Spent, StoppingRules, decide

Rollouts = TypeVar("Rollouts")
Mixture = TypeVar("Mixture")
Student = TypeVar("Student")


class Stages(Protocol[Rollouts, Mixture, Student]):
    """The stages of the loop; `siked_ray.driver` implements them on Ray, the tests with tiny fakes."""

    def sample_teacher(self) -> Rollouts:
        """K samples per (training problem, strategy) from the teacher, verified."""

    def base_student(self) -> Student:
        """The student before any distillation."""

    def sample_student(self, student: Student, iteration: int) -> Rollouts:
        """K samples per (training problem, strategy) from the student, or per problem with its own choice, verified."""

    def mix(self, iteration: int, teacher: Rollouts, student: Rollouts | None) -> Mixture:
        """Correct-only, first per (problem, strategy), then the mixture policy."""

    def train(self, iteration: int, start: Student, mixture: Mixture) -> Student:
        """Fine-tune `start` on the mixture; the result is a whole model with merged weights."""

    def evaluate(self, iteration: int, student: Student) -> Measured:
        """Evaluate greedily, free and forced; returns what the free student did on the held-out split."""

    def spent(self) -> Spent:
        """What the stages so far have cost, as they were recorded when they ran."""

    def record(self, iteration: int, decision: Decision) -> None:
        """Write down what was decided after an iteration, and why."""

    def finish(self, decision: Decision) -> None:
        """What is done once, after the loop: evaluate on test sets that were kept for the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopRules:
    """Settings of the loop itself: the weights that an iteration starts from, and when it ends."""

    stopping: StoppingRules
    start: Literal["previous", "base"] = "previous"


def run_loop(stages: Stages[Rollouts, Mixture, Student], rules: LoopRules) -> Decision:
    """Distil the teacher (iteration 0), then let the student guide itself until it stops gaining."""
    teacher_rollouts = stages.sample_teacher()
    base = student = stages.base_student()
    students: list[Student] = []
    history: list[Measured] = []

    for iteration in range(rules.stopping.max_iterations + 1):
        student_rollouts = stages.sample_student(student, iteration) if iteration > 0 else None
        mixture = stages.mix(iteration, teacher_rollouts, student_rollouts)
        start = student if rules.start == "previous" else base
        student = stages.train(iteration, start, mixture)
        students.append(student)
        history.append(stages.evaluate(iteration, student))

        decision = decide(history, stages.spent(), rules.stopping)
        stages.record(iteration, decision)
        if decision.stop:
            break
        if decision.roll_back:
            student = students[decision.best_iteration]

    stages.finish(decision)
    return decision
