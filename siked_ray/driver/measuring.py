"""Metrics of evaluations out of their stored rollouts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.data.storage import Storage
from siked_ray.evaluation import GradedAnswer, compare_free, evaluate_dataset
from siked_ray.generation.durable import quarantined_rows
from siked_ray.recipes.verbs import Rollouts

_COLUMNS = ["problem_id", "requested", "strategy", "verdict", "predicted"]


def read_outcomes(storage: Storage, folder: str) -> list[GradedAnswer]:
    """The greedy completions of an evaluation; none without the folder."""
    parts = storage.files(folder, ".parquet")
    rows = storage.read_parquet(parts, _COLUMNS).to_pylist() if parts else []
    return [GradedAnswer(**(row | {"verdict": Verdict(row["verdict"])})) for row in rows]


def free_accuracy(storage: Storage, folder: str, problem_ids: Sequence[str]) -> float:
    """Share of the problems that the free completions of a folder solve."""
    solved = {one.problem_id for one in read_outcomes(storage, folder) if one.requested == FREE and one.correct}
    return len(solved.intersection(problem_ids)) / len(problem_ids)


def measured(
    storage: Storage,
    problem_ids: Mapping[str, Sequence[str]],
    answers: Mapping[str, Rollouts],
    against: Mapping[str, Rollouts],
    strategies: Sequence[str],
) -> dict[str, Any]:
    """Metrics by problem set, each with the paired comparisons to the answers of other models, under "paired"; a
    comparison is left out where those models did not answer the set."""
    outcomes = {folder: read_outcomes(storage, folder) for folder in {one.folder for one in answers.values()}}
    metrics = {
        name: asdict(evaluate_dataset(problem_ids[name], outcomes[one.folder], strategies))
        for name, one in answers.items()
    }
    for label, earlier in against.items():
        before = read_outcomes(storage, earlier.folder)
        answered = {outcome.problem_id for outcome in before}
        for name, one in answers.items():
            if not answered.isdisjoint(problem_ids[name]):
                paired = compare_free(problem_ids[name], before, outcomes[one.folder])
                figures = {"iteration": earlier.stage.iteration, **asdict(paired)}
                metrics[name].setdefault("paired", {})[label] = figures
    for name, one in answers.items():
        quarantined = [row["problem_id"] for row in quarantined_rows(storage, one.stage.name)]
        metrics[name]["quarantined"] = sum(map(set(problem_ids[name]).__contains__, quarantined))
    return metrics
