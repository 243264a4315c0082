"""Greedy and free is, on an engine that is deterministic, the forced response of the tag that the model begins with.

So where both are asked for, only the tag of the free response is decoded (rows TAG_ALONE, which are not kept), and the
rest is taken over from the forced row of that tag. What cannot be taken over is decoded whole: responses that begin
with no tag, with other tokens than those that are forced, or that would have been cut off.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from siked_ray.core.ids import request_id, sampling_seed
from siked_ray.core.rollout import FREE, TAG_ALONE
from siked_ray.data.schemas import table
from siked_ray.data.tables import read_columns
from siked_ray.generation.durable import pending
from siked_ray.generation.engine import Sample
from siked_ray.generation.task import GenerationTask, Row, RowSink

if TYPE_CHECKING:
    import pyarrow as pa

_PART = "part-taken-over.parquet"


def num_tokens_to_decode(row: Row) -> int:
    """So many that every tag would show."""
    return max(len(token_ids) for _, token_ids in row["tags"])


def strategy_begun_with(row: Row, sample: Sample) -> str | None:
    """The strategy whose tag the sample's tokens begin with, token by token."""
    for strategy, token_ids in row["tags"]:
        if sample.token_ids[: len(token_ids)] == tuple(token_ids):
            return str(strategy)
    return None


def take_over(sink: RowSink, task: GenerationTask) -> int:
    """Write the free rows that the durable rows of a stage already say; how many they are."""
    chosen = {row["problem_id"]: row for row in _rows(sink, requested=TAG_ALONE) if row["strategy"] != "none"}
    taken = [
        _free(chosen[row["problem_id"]], row, task)
        for strategy in {row["strategy"] for row in chosen.values()}
        for row in _rows(sink, requested=strategy)
        if _is_its_own(chosen.get(row["problem_id"]), row, task.plan.max_new_tokens)
    ]
    if taken:
        sink.storage.write_parquet(f"{pending(sink.folder)}/{_PART}", table("rollouts", taken))
    return len(taken)


def _is_its_own(tag: Mapping[str, Any] | None, forced: Mapping[str, Any], max_new_tokens: int) -> bool:
    """Whether a forced row is what the model would have written with this tag, within the limit that counts the tag."""
    if tag is None or tag["strategy"] != forced["requested"] or forced["truncated"]:
        return False
    return bool(_num_tag_tokens(tag, forced) + forced["num_tokens"] <= max_new_tokens)


def _num_tag_tokens(tag: Mapping[str, Any], forced: Mapping[str, Any]) -> int:
    return int(forced["num_prompt_tokens"] - tag["num_prompt_tokens"])


def _free(tag: Mapping[str, Any], forced: Mapping[str, Any], task: GenerationTask) -> dict[str, Any]:
    identity = request_id(forced["problem_id"], FREE, forced["sample_index"], task.label)
    return {
        **forced,
        "request_id": identity,
        "requested": FREE,
        "ask_id": FREE,
        "seed": sampling_seed(task.run_seed, identity),
        "prompt": tag["prompt"],
        "num_prompt_tokens": tag["num_prompt_tokens"],
        "num_tokens": _num_tag_tokens(tag, forced) + forced["num_tokens"],
    }


def _rows(sink: RowSink, requested: str) -> Iterator[dict[str, Any]]:
    """Of all durable parts, those with what was requested."""
    import pyarrow.compute as pc

    for name in sink.storage.files(pending(sink.folder), ".parquet"):
        part: pa.Table = read_columns(sink.storage, "rollouts", [name])
        yield from part.filter(pc.equal(part["requested"], requested)).to_pylist()
