"""Metrics of evaluations out of their stored rollouts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from siked_ray.config import Config
from siked_ray.core.rollout import FREE
from siked_ray.core.verdict import Verdict
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.data.tables import read_columns
from siked_ray.evaluation import GradedAnswer, compare_answers, evaluate_dataset
from siked_ray.evaluation.levels import evaluate_levels
from siked_ray.evaluation.sampled import evaluate_samples, powers_of_two
from siked_ray.evaluation.token_by_token import token_by_token
from siked_ray.generation.durable import quarantined_rows
from siked_ray.recipes.verbs import Reading, Rollouts
from siked_ray.settings.evaluation import EvaluationSettings

_COLUMNS = ["problem_id", "requested", "strategy", "verdict", "predicted"]


def read_outcomes(storage: Storage, folder: str) -> list[GradedAnswer]:
    """The completions of an evaluation; none without the folder."""
    parts = storage.files(folder, ".parquet")
    rows = storage.read_parquet(parts, _COLUMNS).to_pylist() if parts else []
    return [GradedAnswer(**(row | {"verdict": Verdict(row["verdict"])})) for row in rows]


def free_completions(storage: Storage, folder: str) -> dict[str, str]:
    """What a student wrote by itself, by problem."""
    parts = storage.files(folder, ".parquet")
    rows = storage.read_parquet(parts, ["problem_id", "requested", "completion"]).to_pylist() if parts else []
    return {row["problem_id"]: row["completion"] for row in rows if row["requested"] == FREE}


def read_levels(storage: Storage, problem_set: str) -> dict[str, str | None]:
    """Ids of a set's problems, with their levels; files of siked-ray 0.1 have none."""
    rows = read_columns(storage, "problems", [names.problems(problem_set)], ["problem_id", "level"])
    return {row["problem_id"]: row["level"] for row in rows.to_pylist()}


def free_accuracy(storage: Storage, folder: str, problem_ids: Sequence[str]) -> float:
    """Share of the problems that the free completions of a folder solve."""
    solved = {one.problem_id for one in read_outcomes(storage, folder) if one.requested == FREE and one.correct}
    return len(solved.intersection(problem_ids)) / len(problem_ids)


def dataset_figures(
    levels: Mapping[str, str | None], outcomes: Sequence[GradedAnswer], strategies: Sequence[str]
) -> dict[str, Any]:
    """Figures of greedy completions on one set of problems, in all and by the levels that the problems have."""
    figures = asdict(evaluate_dataset(list(levels), outcomes, strategies))
    by_level = evaluate_levels(levels, outcomes, strategies)
    return figures | ({"levels": {name: asdict(one) for name, one in by_level.items()}} if by_level else {})


def sampled_figures(
    problem_ids: Sequence[str], samples: Sequence[GradedAnswer], evaluation: EvaluationSettings
) -> dict[str, Any]:
    """{"samples": figures} of K samples of each problem, and how they were drawn."""
    most = evaluation.samples
    assert most is not None, "samples are drawn where the settings say how many"
    found = evaluate_samples(problem_ids, samples, most, evaluation.ks or powers_of_two(most))
    return {"samples": {"temperature": evaluation.temperature, "top_p": evaluation.top_p, **asdict(found)}}


def measured(
    storage: Storage,
    config: Config,
    answers: Mapping[str, Rollouts],
    against: Mapping[str, Rollouts],
    reading: Reading | None = None,
    samples: Rollouts | None = None,
) -> dict[str, Any]:
    """Metrics by problem set, each with the paired comparisons to the answers of other models, under "paired"; a
    comparison is left out where those models did not answer the set. And of a `reading` and of `samples` theirs, under
    "divergence" and "samples"."""
    levels = {name: read_levels(storage, name) for name in answers}
    outcomes = {folder: read_outcomes(storage, folder) for folder in {one.folder for one in answers.values()}}
    metrics = {
        name: dataset_figures(levels[name], outcomes[one.folder], config.strategies) for name, one in answers.items()
    }
    for label, earlier in against.items():
        before = read_outcomes(storage, earlier.folder)
        answered = {outcome.problem_id for outcome in before}
        for name, one in answers.items():
            if not answered.isdisjoint(levels[name]):
                paired = compare_answers(list(levels[name]), before, outcomes[one.folder], earlier.compared)
                asked = {} if earlier.compared == FREE else {"requested": earlier.compared}
                figures = {"iteration": earlier.stage.iteration, **asked, **asdict(paired)}
                metrics[name].setdefault("paired", {})[label] = figures
    drawn = read_outcomes(storage, samples.folder) if samples else []
    for name, one in answers.items():
        if samples:
            metrics[name] |= sampled_figures(list(levels[name]), drawn, config.evaluation)
        quarantined = [row["problem_id"] for row in quarantined_rows(storage, one.stage.name)]
        metrics[name]["quarantined"] = sum(problem in levels[name] for problem in quarantined)
    if reading is not None:
        read = reading.rows.problem_set
        metrics[read]["divergence"] = token_by_token(storage, reading, answers[read].folder)
    return metrics
