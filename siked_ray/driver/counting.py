"""Counts of a sampling stage, and what a run has spent: read from what the stages stored."""

from collections.abc import Iterable, Sequence
from typing import Any

from siked_ray.config import Config
from siked_ray.core.stopping import Spent
from siked_ray.core.verdict import Verdict
from siked_ray.data.ledger import StageRecord
from siked_ray.data.storage import Storage
from siked_ray.data.tables import attach, rows, sql_engine

_COUNTS = """
SELECT coalesce(any_value(engine), '') AS engine, count(DISTINCT (problem_id, requested)) AS requests,
       count(*) AS samples, coalesce(sum(num_tokens), 0)::BIGINT AS generated_tokens
FROM rollouts
"""
_VERDICTS = "SELECT verdict, count(*) AS n FROM rollouts GROUP BY ALL"
_ACCEPTED = """
SELECT strategy, count(DISTINCT problem_id) AS n FROM rollouts WHERE verdict = 'correct' GROUP BY ALL
"""


def sampling_metrics(storage: Storage, folder: str, strategies: Sequence[str]) -> dict[str, Any]:
    """Requests, samples, verdicts, tokens, and (problem, strategy) pairs with a correct sample ("accepted")."""
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"rollouts": storage.files(folder, ".parquet")})
        counts = rows(connection, _COUNTS)[0]
        verdicts = {row["verdict"]: row["n"] for row in rows(connection, _VERDICTS)}
        accepted = {row["strategy"]: row["n"] for row in rows(connection, _ACCEPTED)}
    return counts | {
        "accepted": sum(accepted.get(name, 0) for name in strategies),
        "accepted_by_strategy": {name: accepted.get(name, 0) for name in strategies},
        "verdicts": {verdict.value: verdicts.get(verdict.value, 0) for verdict in Verdict},
    }


def spent(records: Iterable[StageRecord], config: Config) -> Spent:
    """Wall time of stages, GPUs reserved by their engines or workers, and tokens sampled and trained on."""
    engine, training = config.engine, config.training
    engine_gpus = engine.num_engines * engine.gpus_per_engine
    seconds = gpu_seconds = tokens = 0.0
    for record in records:
        gpus = training.num_workers * training.gpus_per_worker if record.stage.startswith("training") else engine_gpus
        seconds += record.seconds
        gpu_seconds += record.seconds * gpus
        tokens += record.metrics.get("generated_tokens", 0) + record.metrics.get("tokens", 0)
    return Spent(hours=seconds / 3600, gpu_hours=gpu_seconds / 3600, tokens=tokens)
