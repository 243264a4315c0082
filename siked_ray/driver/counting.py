"""Counts of a sampling stage, and what a run has spent: read from what the stages stored."""

from collections.abc import Iterable, Sequence
from typing import Any

from siked_ray.config import Config
from siked_ray.core.stopping import Spent
from siked_ray.core.verdict import Verdict
from siked_ray.data.ledger import StageRecord
from siked_ray.data.storage import Storage
from siked_ray.data.tables import attach, rows, sql_engine
from siked_ray.driver.demand import STUDENT

_COUNTS = """
SELECT coalesce(string_agg(DISTINCT engine, ', ' ORDER BY engine), '') AS engine,
       count(DISTINCT (problem_id, requested)) AS requests,
       count(*) AS samples, coalesce(sum(num_tokens), 0)::BIGINT AS generated_tokens,
       coalesce(sum(num_prompt_tokens), 0)::BIGINT AS prompt_tokens
FROM rollouts
"""
_VERDICTS = "SELECT verdict, count(*) AS n FROM rollouts GROUP BY ALL"
_ACCEPTED = """
SELECT strategy, count(DISTINCT problem_id) AS n FROM rollouts WHERE verdict = 'correct' GROUP BY ALL
"""

_TOKENS_BY_MODEL = """
SELECT model, coalesce(sum(num_prompt_tokens), 0)::BIGINT AS prompt, coalesce(sum(num_tokens), 0)::BIGINT AS generated
FROM rollouts GROUP BY ALL
"""
#: Kinds of stages that the student's engines work in.
_SAMPLING = ("rollouts", "evaluation", "tests")


def sampling_metrics(storage: Storage, files: Sequence[str], strategies: Sequence[str]) -> dict[str, Any]:
    """Requests, samples, verdicts, tokens, and (problem, strategy) pairs with a correct sample ("accepted")."""
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"rollouts": files})
        counts = rows(connection, _COUNTS)[0]
        verdicts = {row["verdict"]: row["n"] for row in rows(connection, _VERDICTS)}
        accepted = {row["strategy"]: row["n"] for row in rows(connection, _ACCEPTED)}
    num_accepted = sum(accepted.get(name, 0) for name in strategies)
    return counts | {
        "accepted": num_accepted,
        "tokens_per_accepted": counts["generated_tokens"] / num_accepted if num_accepted else None,
        "accepted_by_strategy": {name: accepted.get(name, 0) for name in strategies},
        "verdicts": {verdict.value: verdicts.get(verdict.value, 0) for verdict in Verdict},
    }


def cost_of_servers(storage: Storage, files: Sequence[str], config: Config) -> float:
    """What servers charge for the rollouts of the teacher's parts, in the currency of the prices."""
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"rollouts": files})
        tokens = {row["model"]: row for row in rows(connection, _TOKENS_BY_MODEL)}
    cost = 0.0
    for part in config.teacher_parts():
        if part.source.source == "openai" and part.key in tokens:
            endpoint, used = part.source.endpoint, tokens[part.key]
            cost += used["prompt"] * endpoint.price_per_million_prompt_tokens / 1e6
            cost += used["generated"] * endpoint.price_per_million_generated_tokens / 1e6
    return cost


def spent(records: Iterable[StageRecord], config: Config) -> Spent:
    """Wall time of stages, GPUs that their engines or workers reserved, and tokens sampled and trained on."""
    seconds = gpu_seconds = tokens = 0.0
    for record in records:
        seconds += record.seconds
        gpu_seconds += record.seconds * _gpus_of(record, config)
        tokens += record.metrics.get("generated_tokens", 0) + record.metrics.get("tokens", 0)
    return Spent(hours=seconds / 3600, gpu_hours=gpu_seconds / 3600, tokens=tokens)


def _gpus_of(record: StageRecord, config: Config) -> float:
    kind = record.stage.partition("_")[0]
    if kind == "training":
        return record.metrics.get("workers_at_end", config.training.max_workers) * config.training.gpus_per_worker
    if record.stage == "rollouts_teacher":
        keys = [part.key for part in config.teacher_parts() if part.source.source == "vllm"]
    else:
        keys = [STUDENT] if kind in _SAMPLING else []
    engines = [config.engine_of(key) for key in keys]
    return max((engine.engine_bounds[1] * engine.gpus_per_engine for engine in engines), default=0.0)
