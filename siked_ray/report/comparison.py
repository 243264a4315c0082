"""Students of any runs, two or more, on the problems that all of them answered."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from siked_ray.core.intervals import bootstrap_interval
from siked_ray.core.problem import Split
from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.errors import DataError
from siked_ray.evaluation.pairs import Pair, compare_all
from siked_ray.report.students import ComparedStudent

#: Of each pair of students, on each set: examples where one is right, and where the other is.
_EXAMPLES_EACH_WAY = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One way of asking, free or with a strategy forced: accuracy and its 95 % interval by student, and all pairs."""

    requested: str
    accuracies: Mapping[str, tuple[float, tuple[float, float]]]
    pairs: Sequence[Pair]


@dataclass(frozen=True, kw_only=True, slots=True)
class Discordant:
    """A problem that one of two students solves when it chooses its strategy itself. `said` has the completion of each,
    with its strategy and verdict."""

    question: str
    answer: str
    right: str
    said: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedSet:
    """Students on the problems of one set that all of them answered; a problem without a completion is not solved."""

    problem_set: str
    num_problems: int
    students: Sequence[str]
    measures: Sequence[Measure]
    examples: Sequence[Discordant]
    notes: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentsCompared:
    """`notes` say which problem sets could not be compared."""

    students: Sequence[ComparedStudent]
    sets: Sequence[ComparedSet]
    notes: Sequence[str]

    @property
    def values(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "students": [{"name": one.name, "run": one.storage.root, "student": one.key} for one in self.students],
            "sets": [_values(one) for one in self.sets],
            "notes": list(self.notes),
        }


def compare_students(students: Sequence[ComparedStudent]) -> StudentsCompared:
    """Compare on every set that two or more answered. Raises DataError where no problem is common to two of them."""
    sets, notes = [], []
    for name in dict.fromkeys(name for one in students for name in one.problem_sets):
        having = [one for one in students if name in one.problem_sets]
        if len(having) < 2:
            notes.append(f"{name} was answered by {having[0].name} alone.")
            continue
        ids = [frozenset(one.problem_sets[name]) for one in having]
        common = sorted(frozenset.intersection(*ids))
        if name == Split.VALIDATION.value and len(set(ids)) > 1:
            notes.append("The held-out problems differ: what one run held out, another may have trained on.")
        elif not common:
            notes.append(f"No problem of {name} was answered by all of {_listed(having)}.")
        else:
            sets.append(_on(name, having, common))
    if not sets:
        raise DataError(f"{_listed(students)} answered no common problems. {' '.join(notes)}")
    return StudentsCompared(students=students, sets=sets, notes=notes)


def _on(name: str, students: Sequence[ComparedStudent], ids: Sequence[str]) -> ComparedSet:
    strategies = [one for one in students[0].strategies if all(one in other.strategies for other in students)]
    measures = [
        Measure(
            requested=requested,
            accuracies={one: (sum(right) / len(ids), bootstrap_interval(right)) for one, right in solved.items()},
            pairs=compare_all(solved),
        )
        for requested in (FREE, *strategies)
        if (solved := _solved(students, ids, requested))
    ]
    return ComparedSet(
        problem_set=name,
        num_problems=len(ids),
        students=[one.name for one in students],
        measures=measures,
        examples=_examples(name, students, ids),
        notes=_notes(name, students, ids),
    )


def _solved(students: Sequence[ComparedStudent], ids: Sequence[str], requested: str) -> dict[str, list[bool]]:
    """What each solves; nothing where one was not asked so at all."""
    if not all(any(requested in one.answers.get(problem, ()) for problem in ids) for one in students):
        return {}
    return {one.name: [_is_right(one, problem, requested) for problem in ids] for one in students}


def _is_right(student: ComparedStudent, problem: str, requested: str) -> bool:
    row = student.answers.get(problem, {}).get(requested)
    return row is not None and row["verdict"] == Verdict.CORRECT


def _examples(name: str, students: Sequence[ComparedStudent], ids: Sequence[str]) -> list[Discordant]:
    found = []
    for index, one in enumerate(students):
        for other in students[index + 1 :]:
            both = [
                problem for problem in ids if all(FREE in student.answers.get(problem, ()) for student in (one, other))
            ]
            for right, wrong in ((one, other), (other, one)):
                apart = (p for p in both if _is_right(right, p, FREE) and not _is_right(wrong, p, FREE))
                chosen = [problem for problem, _ in zip(apart, range(_EXAMPLES_EACH_WAY), strict=False)]
                found += [_example(name, problem, right, (one, other)) for problem in chosen]
    return found


def _example(
    name: str, problem: str, right: ComparedStudent, students: tuple[ComparedStudent, ComparedStudent]
) -> Discordant:
    asked = right.problem_sets[name][problem]
    keys = ("strategy", "verdict", "completion")
    said = {one.name: {key: one.answers[problem][FREE][key] for key in keys} for one in students}
    return Discordant(question=asked["question"], answer=asked["answer"], right=right.name, said=said)


def _notes(name: str, students: Sequence[ComparedStudent], ids: Sequence[str]) -> list[str]:
    """What a reader has to know of the problems."""
    sizes = {one.name: len(one.problem_sets[name]) for one in students}
    notes = []
    if any(size != len(ids) for size in sizes.values()):
        shown = ", ".join(f"{student} {size:,}" for student, size in sizes.items())
        notes.append(f"All answered {len(ids):,} problems of {name} ({shown}).")
    for one in students:
        if number := len(one.trained_on.intersection(ids)):
            notes.append(f"{number:,} of these problems are training problems of {one.name}.")
    if name == Split.VALIDATION.value:
        notes.append("The held-out problems select the best iteration: accuracies on them are too favourable.")
    return notes


def _listed(students: Sequence[ComparedStudent]) -> str:
    *others, last = (one.name for one in students)
    return f"{', '.join(others)} and {last}" if others else last


def _values(one: ComparedSet) -> dict[str, Any]:
    values = asdict(one)
    for measure in values["measures"]:
        measure["accuracies"] = {
            name: {"accuracy": accuracy, "interval": interval}
            for name, (accuracy, interval) in measure["accuracies"].items()
        }
        measure["pairs"] = [
            {"one": p["one"], "other": p["other"], **p["paired"], "p_holm": p["p_holm"]} for p in measure["pairs"]
        ]
    return values
