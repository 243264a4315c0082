"""The ledger: one small record per committed stage, written after the stage's outputs.

A stage with a record is never run again. A record appears whole or not at all, so a kill at any moment leaves
either a finished stage or one that continues from its own finished rows.
"""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from siked_ray.data.storage import Storage, damaged

_FOLDER = "ledger"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """What a committed stage made and what it cost. `position` orders the stages of a run."""

    stage: str
    position: int
    seconds: float
    outputs: tuple[str, ...]
    metrics: dict[str, Any]
    committed_at: float = field(default_factory=time.time)


class Ledger:
    """Records of one run."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self, stage: str) -> StageRecord | None:
        """The record of a stage; None when it has not been committed or its outputs are gone."""
        name = _name(stage)
        if not self._storage.exists(name):
            return None
        record = self._read(name)
        return record if all(self._storage.exists(output) for output in record.outputs) else None

    def commit(self, record: StageRecord) -> None:
        """Write the record of a finished stage."""
        self._storage.write_json(_name(record.stage), asdict(record))

    def records(self) -> list[StageRecord]:
        """All records in the order of the stages."""
        records = [self._read(name) for name in self._storage.files(_FOLDER, ".json")]
        return sorted(records, key=lambda record: record.position)

    def _read(self, name: str) -> StageRecord:
        values = self._storage.read_json(name)
        try:
            return StageRecord(**(values | {"outputs": tuple(values["outputs"])}))
        except (KeyError, TypeError) as error:
            raise damaged(self._storage.path(name), error) from None


def _name(stage: str) -> str:
    return f"{_FOLDER}/{stage}.json"
