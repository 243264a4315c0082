"""Counts of a sampling stage, and what a run has spent: read from what the stages stored."""

from collections.abc import Iterable, Sequence
from typing import Any

from siked_ray.config import Config
from siked_ray.core.reasoning import Accept
from siked_ray.core.stage import TEACHER, Kind
from siked_ray.core.stopping import Spent
from siked_ray.core.verdict import Verdict
from siked_ray.data.ledger import StageRecord
from siked_ray.data.storage import Storage
from siked_ray.data.tables import attach, rows, sql_engine
from siked_ray.sources import sampled

_COUNTS = """
SELECT coalesce(string_agg(DISTINCT engine, ', ' ORDER BY engine), '') AS engine,
       count(DISTINCT (problem_id, coalesce(ask_id, requested))) AS requests,
       count(*) AS samples, coalesce(sum(num_tokens), 0)::BIGINT AS generated_tokens,
       coalesce(sum(num_prompt_tokens), 0)::BIGINT AS prompt_tokens,
       coalesce(sum(num_thought_chars), 0)::BIGINT AS thought_chars
FROM rollouts
"""
_VERDICTS = "SELECT verdict, count(*) AS n FROM rollouts GROUP BY ALL"
_ACCEPTED = """
SELECT strategy, count(DISTINCT problem_id) AS n FROM rollouts WHERE verdict = 'correct' {and_sound} GROUP BY ALL
"""
_AND_SOUND = {Accept.ANSWER: "", Accept.SOUND: "AND sound"}
#: Of the correct samples of a strategy: how many are sound, and what the others lack.
_SOUNDNESS = """
SELECT strategy, count(*) AS correct, count(*) FILTER (sound) AS sound,
       count(*) FILTER (steps.stated > steps."true") AS false_step,
       count(*) FILTER (NOT steps.reaches_answer) AS not_reached,
       count(*) FILTER (NOT uses_question_numbers) AS no_question_number
FROM rollouts WHERE verdict = 'correct' AND sound IS NOT NULL GROUP BY ALL
"""

_TOKENS_BY_MODEL = """
SELECT model, coalesce(sum(num_prompt_tokens), 0)::BIGINT AS prompt, coalesce(sum(num_tokens), 0)::BIGINT AS generated
FROM rollouts GROUP BY ALL
"""
#: Kinds of stages that the student's engines work in; in 0.1 evaluations sampled their answers themselves.
_SAMPLING = (Kind.ROLLOUTS, Kind.ANSWERS, Kind.SAMPLES, Kind.EVALUATION, Kind.TESTS)
#: Kinds of stages whose tokens a budget counts: those that are trained on, and that training reads.
_BUDGETED = (Kind.ROLLOUTS, Kind.TRAINING)


def sampling_metrics(
    storage: Storage, files: Sequence[str], strategies: Sequence[str], accept: Accept = Accept.ANSWER
) -> dict[str, Any]:
    """Requests, samples, verdicts, tokens, (problem, strategy) pairs with a sample that may be kept ("accepted"), and
    how sound the correct samples are."""
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"rollouts": files})
        counts = rows(connection, _COUNTS)[0]
        verdicts = {row["verdict"]: row["n"] for row in rows(connection, _VERDICTS)}
        accepted = {
            row["strategy"]: row["n"] for row in rows(connection, _ACCEPTED.format(and_sound=_AND_SOUND[accept]))
        }
        soundness = {row.pop("strategy"): row for row in rows(connection, _SOUNDNESS)}
    num_accepted = sum(accepted.get(name, 0) for name in strategies)
    return counts | {
        "accepted": num_accepted,
        "tokens_per_accepted": counts["generated_tokens"] / num_accepted if num_accepted else None,
        "accepted_by_strategy": {name: accepted.get(name, 0) for name in strategies},
        "verdicts": {verdict.value: verdicts.get(verdict.value, 0) for verdict in Verdict},
        "soundness": {name: soundness[name] for name in strategies if name in soundness},
    }


def cost_of_servers(storage: Storage, files: Sequence[str], config: Config) -> float:
    """What servers charge for the rollouts of the teacher's parts, in the currency of the prices."""
    with sql_engine() as connection:
        attach(connection, storage, "rollouts", {"rollouts": files})
        tokens = {row["model"]: row for row in rows(connection, _TOKENS_BY_MODEL)}
    cost = 0.0
    for source in sampled(config):
        if (used := tokens.get(source.part.key)) is not None:
            cost += source.cost(used["prompt"], used["generated"])
    return cost


def spent(records: Iterable[StageRecord], config: Config) -> Spent:
    """Wall time of stages, GPUs that their engines or workers reserved, and tokens sampled and trained on."""
    seconds = gpu_seconds = tokens = 0.0
    for record in records:
        seconds += record.seconds
        gpu_seconds += record.seconds * _gpus_of(record, config)
        if record.id.kind in _BUDGETED:
            tokens += record.metrics.get("generated_tokens", 0) + record.metrics.get("tokens", 0)
    return Spent(hours=seconds / 3600, gpu_hours=gpu_seconds / 3600, tokens=tokens)


def _gpus_of(record: StageRecord, config: Config) -> float:
    if record.id.kind is Kind.TRAINING:
        return record.metrics.get("workers_at_end", config.training.max_workers) * config.training.gpus_per_worker
    if record.id == TEACHER:
        engines = [own for source in sampled(config) if (own := source.engines.own)]
    else:
        engines = [config.engine] if record.id.kind in _SAMPLING else []
    return max((engine.engine_bounds[1] * engine.gpus_per_engine for engine in engines), default=0.0)
