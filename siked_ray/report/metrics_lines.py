"""metrics.jsonl out of the ledger: one line per committed stage, and one per optimizer step."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from siked_ray.data.ledger import StageRecord


def metrics_lines(records: Sequence[StageRecord]) -> str:
    """JSON lines {stage, committed_at, seconds, …} in the order of the stages; steps are {stage, step, loss}."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for record in records for line in _lines(record))


def _lines(record: StageRecord) -> Iterator[dict[str, Any]]:
    for step, loss in enumerate(record.metrics.get("losses", ()), start=1):
        yield {"stage": record.stage, "step": step, "loss": loss}
    rest = {key: value for key, value in record.metrics.items() if key != "losses"}
    yield {"stage": record.stage, "committed_at": record.committed_at, "seconds": record.seconds, **rest}
