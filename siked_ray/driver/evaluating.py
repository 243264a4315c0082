"""Metrics of evaluations out of their stored rollouts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.evaluation import Outcome, compare_free, evaluate_dataset

_COLUMNS = ["problem_id", "requested", "strategy", "verdict", "predicted"]


def read_outcomes(storage: Storage, folder: str) -> list[Outcome]:
    """The greedy completions of an evaluation; none without the folder."""
    parts = storage.files(folder, ".parquet")
    rows = storage.read_parquet(parts, _COLUMNS).to_pylist() if parts else []
    return [Outcome(**(row | {"verdict": Verdict(row["verdict"])})) for row in rows]


def free_accuracy(storage: Storage, folder: str, problem_ids: Sequence[str]) -> float:
    """Share of the problems that the free completions of a folder solve."""
    solved = {one.problem_id for one in read_outcomes(storage, folder) if one.requested == FREE and one.correct}
    return len(solved.intersection(problem_ids)) / len(problem_ids)


def evaluation_metrics(
    storage: Storage, iteration: int, problem_ids: Mapping[str, Sequence[str]], strategies: Sequence[str]
) -> dict[str, Any]:
    """Metrics by data set, each with the paired comparison to the iteration before and to iteration 0, under "paired";
    a comparison is left out where that iteration was not evaluated on the set."""
    outcomes = read_outcomes(storage, names.evaluation_rollouts(iteration))
    metrics = {name: asdict(evaluate_dataset(problems, outcomes, strategies)) for name, problems in problem_ids.items()}
    earlier = {"previous": iteration - 1, "iteration_0": 0} if iteration else {}
    for label, number in earlier.items():
        before = read_outcomes(storage, names.evaluation_rollouts(number))
        answered = {outcome.problem_id for outcome in before}
        for name, problems in problem_ids.items():
            if not answered.isdisjoint(problems):
                paired = compare_free(problems, before, outcomes)
                metrics[name].setdefault("paired", {})[label] = {"iteration": number, **asdict(paired)}
    return metrics
