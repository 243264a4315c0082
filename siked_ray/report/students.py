"""Students of runs by what a user calls them, `RUN`, `RUN:N` or `RUN:LABEL`, and what they answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from siked_ray.core.problem import Split
from siked_ray.core.stage import Kind, StageId
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, of_kind, with_answers
from siked_ray.data.storage import Storage
from siked_ray.errors import DataError
from siked_ray.report.what_if import read_config

_COLUMNS = ["problem_id", "requested", "strategy", "verdict", "completion"]
_PROBLEM = ["problem_id", "question", "answer"]

#: A student within its run: the number of an iteration, or the label of one that no iteration made.
Key = int | str
#: What was answered, by problem and by what was asked for: rows {strategy, verdict, completion}.
Answered = Mapping[str, Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True, kw_only=True)
class ComparedStudent:
    """`files` have its greedy completions. `name` is for tables, and differs from those of the others."""

    name: str
    storage: Storage
    key: Key
    strategies: tuple[str, ...]
    files: tuple[str, ...]

    @cached_property
    def answers(self) -> Answered:
        """All that it was asked at temperature 0, free and forced."""
        found: dict[str, dict[str, Mapping[str, str]]] = {}
        for row in self.storage.read_parquet(self.files, _COLUMNS).to_pylist():
            found.setdefault(row["problem_id"], {})[row["requested"]] = row
        return found

    @cached_property
    def problem_sets(self) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """By name, the sets that it answered: {question, answer} of each problem by its id."""
        found = {}
        for file in self.storage.files("problems", ".parquet"):
            name = file.removeprefix("problems/").removesuffix(".parquet")
            if name not in (Split.TRAIN.value, "excluded"):
                rows = {row["problem_id"]: row for row in self.storage.read_parquet(file, _PROBLEM).to_pylist()}
                if not self.answers.keys().isdisjoint(rows):
                    found[name] = rows
        return found

    @cached_property
    def trained_on(self) -> frozenset[str]:
        """Ids of the training problems of its run."""
        file = names.problems(Split.TRAIN.value)
        rows = self.storage.read_parquet(file, ["problem_id"]) if self.storage.exists(file) else None
        return frozenset(rows["problem_id"].to_pylist() if rows else ())


def find_students(called: Sequence[str]) -> list[ComparedStudent]:
    """The students that a user calls so. Raises DataError where one is not there or comes twice."""
    found = [_find(one) for one in called]
    for name, number in Counter((one.storage.root, one.key) for one in found).items():
        if number > 1:
            raise DataError(f"{name[0]}:{name[1]} is named twice; name different students.")
    folders = {one.storage.root: one.storage.root.rstrip("/").rpartition("/")[2] for one in found}
    shown = folders if len(set(folders.values())) == len(folders) else {root: root for root in folders}
    return [replace(one, name=f"{shown[one.storage.root]}:{one.key}") for one in found]


def _find(called: str) -> ComparedStudent:
    storage, point = _split(called)
    config = read_config(storage)
    records = with_answers(Ledger(storage).records(), storage)
    files: dict[Key, list[str]] = {}
    for record in of_kind(records, Kind.ANSWERS):
        outputs = [name for name in record.outputs if storage.exists(name)]
        if outputs:
            files.setdefault(_key(record.id), []).extend(outputs)
    if not files:
        raise DataError(f"{storage.root} has no student that was evaluated yet; let it run further.")
    decided = [record.metrics["best_iteration"] for record in of_kind(records, Kind.DECISION)]
    key = _chosen(storage, point, files, decided)
    chosen = tuple(dict.fromkeys(files[key]))
    return ComparedStudent(name=called, storage=storage, key=key, strategies=tuple(config.strategies), files=chosen)


def _split(called: str) -> tuple[Storage, str]:
    """The run, and what follows its name after a colon; an address may have colons of its own."""
    whole = Storage(called)
    if whole.exists(names.CONFIG):
        return whole, ""
    run, _, point = called.rpartition(":")
    if run and "/" not in point and Storage(run).exists(names.CONFIG):
        return Storage(run), point
    shown = run if run and point and "/" not in point else called
    raise DataError(f"{shown} is no run directory, it has no {names.CONFIG}; write RUN, RUN:N or RUN:LABEL.")


def _key(stage: StageId) -> Key:
    number = stage.iteration
    if number is None or stage not in (StageId.of_iteration(Kind.ANSWERS, number), StageId.of_tests(number)):
        return stage.label
    return number


def _chosen(storage: Storage, point: str, known: Mapping[Key, Any], decided: Sequence[int]) -> Key:
    """What `point` names; without it the best iteration so far, or the last one before anything is decided."""
    key: Key = int(point) if point.isdecimal() and point not in known else point
    iterations = [one for one in known if isinstance(one, int)]
    if not point and iterations:
        best = decided[-1] if decided else max(iterations)
        key = best if best in known else max(iterations)
    if key in known:
        return key
    there = ", ".join(f"{storage.root}:{one}" for one in known)
    if not point:
        raise DataError(f"{storage.root} has several students and no iterations; name one of {there}.")
    raise DataError(f"{storage.root} has no student {point} that was evaluated; there are {there}.")
