"""What a sampling stage made, counted from what it stored, part by part."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siked_ray.core.verdict import Verdict
from siked_ray.data.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ["problem_id", "requested", "strategy", "verdict", "num_tokens", "num_prompt_tokens", "engine"]


def count_rollouts(storage: Storage, names: Sequence[str], strategies: Sequence[str]) -> dict[str, Any]:
    """Counts of rollout tables, one file in memory at a time. A row lies whole in one file.

    `requests` are (problem, requested strategy) rows, `accepted` (problem, used strategy) rows with a correct sample.
    """
    verdicts: Counter[str] = Counter()
    solved: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    engines: set[str] = set()
    for name in names:
        rollouts = storage.read_parquet(name, _COLUMNS)
        verdicts.update(_value_counts(rollouts, "verdict"))
        solved.update(_solved(rollouts))
        totals["samples"] += rollouts.num_rows
        totals["requests"] += rollouts.group_by(["problem_id", "requested"]).aggregate([]).num_rows
        for column in ("num_tokens", "num_prompt_tokens"):
            totals[column] += sum(rollouts[column].to_pylist())
        engines.update(_value_counts(rollouts, "engine"))
    num_accepted = sum(solved.values())
    return {
        "engine": ", ".join(sorted(engines)),
        "requests": totals["requests"],
        "samples": totals["samples"],
        "accepted": num_accepted,
        "accepted_by_strategy": {name: solved[name] for name in strategies},
        "verdicts": {verdict.value: verdicts[verdict.value] for verdict in Verdict},
        "generated_tokens": totals["num_tokens"],
        "prompt_tokens": totals["num_prompt_tokens"],
        "tokens_per_accepted": totals["num_tokens"] / num_accepted if num_accepted else None,
    }


def num_tokens_of(storage: Storage, names: Sequence[str], model: str) -> tuple[int, int]:
    """Prompt tokens and generated tokens of the rollouts of one model, by the label that is kept with them."""
    import pyarrow.compute as pc

    prompt = generated = 0
    for name in names:
        rollouts = storage.read_parquet(name, ["model", "num_prompt_tokens", "num_tokens"])
        own = rollouts.filter(pc.equal(rollouts["model"], model))
        prompt += sum(own["num_prompt_tokens"].to_pylist())
        generated += sum(own["num_tokens"].to_pylist())
    return prompt, generated


def _solved(rollouts: "pa.Table") -> dict[str, int]:
    import pyarrow.compute as pc

    correct = rollouts.filter(pc.equal(rollouts["verdict"], Verdict.CORRECT.value))
    return _value_counts(correct.group_by(["problem_id", "strategy"]).aggregate([]), "strategy")


def _value_counts(rows: "pa.Table", column: str) -> dict[str, int]:
    return {one["values"]: one["counts"] for one in rows[column].value_counts().to_pylist()}
