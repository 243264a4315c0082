"""The ledger: one small record per committed stage, written after the stage's outputs.

A stage with a record is never run again. A record appears whole or not at all, so a kill at any moment leaves
either a finished stage or one that continues from its own finished rows.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from siked_ray.core.stage import Kind, StageId
from siked_ray.data.file_system import damaged
from siked_ray.data.old_records import id_of
from siked_ray.data.run_directory import place_of
from siked_ray.data.storage import Storage

_FOLDER = "ledger"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """What a committed stage made and what it cost. `position` orders the stages of a run.

    `made_from` holds what the stage is a result of: its verb, plain arguments, and the fingerprints of its inputs.
    Records of 0.1 have none.
    """

    id: StageId
    position: int
    seconds: float
    outputs: tuple[str, ...]
    metrics: dict[str, Any]
    made_from: Mapping[str, Any] | None = None
    committed_at: float = field(default_factory=time.time)

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return self.id.name


class Ledger:
    """Records of one run."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self, stage: StageId) -> StageRecord | None:
        """The record of a stage; None when it has not been committed or its outputs are gone."""
        name = _file(stage)
        if not self._storage.exists(name):
            return None
        record = self._read(name)
        return record if all(self._storage.exists(output) for output in record.outputs) else None

    def commit(self, record: StageRecord) -> None:
        """Write the record of a finished stage."""
        values = {"stage": record.stage, **asdict(record.id), **asdict(record)}
        del values["id"]
        self._storage.write_json(_file(record.id), values)

    def complete(self) -> None:
        """Add the records that today's stages have and 0.1 did not write, so that its runs can be continued."""
        known = self.records()
        for record in with_answers(known, self._storage):
            if record not in known:
                self.commit(record)

    def records(self) -> list[StageRecord]:
        """All records in the order of the stages."""
        records = [self._read(name) for name in self._storage.files(_FOLDER, ".json")]
        return sorted(records, key=lambda record: record.position)

    def _read(self, name: str) -> StageRecord:
        values = self._storage.read_json(name)
        try:
            stage = values.pop("stage")
            if "kind" in values:
                parts = {part: values.pop(part) for part in ("kind", "label", "iteration")}
                own = StageId(**(parts | {"kind": Kind(parts["kind"])}))
            else:
                own = id_of(stage)
            return StageRecord(id=own, **(values | {"outputs": tuple(values["outputs"])}))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self._storage.path(name), error) from None


def of_kind(records: Sequence[StageRecord], *kinds: Kind) -> list[StageRecord]:
    """The records of stages of some kinds."""
    return [record for record in records if record.id.kind in kinds]


def with_answers(records: Sequence[StageRecord], storage: Storage) -> list[StageRecord]:
    """The records, and one for the answers behind each evaluation of 0.1, which recorded both as one stage."""
    known, found = {record.id for record in records}, list(records)
    for record in of_kind(records, Kind.EVALUATION, Kind.TESTS):
        number = record.id.iteration
        if record.made_from is None and number is not None:
            is_test = record.id.kind is Kind.TESTS
            answers = StageId.of_tests(number) if is_test else StageId.of_iteration(Kind.ANSWERS, number)
            if answers not in known:
                folder = place_of(StageId.of_iteration(Kind.ANSWERS, number))
                outputs = tuple(storage.files(folder, ".parquet"))
                found.append(replace(record, id=answers, seconds=0.0, outputs=outputs, metrics={}))
    return sorted(found, key=lambda record: record.position)


def _file(stage: StageId) -> str:
    return f"{_FOLDER}/{stage.name}.json"
