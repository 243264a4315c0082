"""Finished rows on disk within seconds: many small parts while a stage runs, made into few at its commit.

While a stage runs, its rows lie in `folder`/pending; a stage that was interrupted continues with the rows that are not
there. A row is always whole in one part. Two engines can have sampled the same row (one was thought to be lost): the
first part in the order of names counts, so that no row comes twice.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from siked_ray.core.rollout import TAG_ALONE, Rollout
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.data.tables import read_columns
from siked_ray.generation.finished import Quarantined, SampledRow
from siked_ray.generation.task import RowKey, RowSink

if TYPE_CHECKING:
    import pyarrow as pa

#: Seconds after which a finished row is durable at the latest.
FLUSH_INTERVAL_S = 2.0
_ROWS_PER_FILE = 100_000


class RowWriter:
    """Collects finished rows of one process and writes them as parts, every `FLUSH_INTERVAL_S` and when told to.

    `part_names` gives file names that no other writer uses; `last_part` is the one that was written last.
    """

    def __init__(self, sink: RowSink, part_names: Iterator[str]) -> None:
        self._sink = sink
        self._part_names = part_names
        self.last_part = ""
        self._rollouts: list[Rollout] = []
        self._quarantined: list[Quarantined] = []
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._flush_regularly, name="row-writer", daemon=True)
        self._thread.start()

    def add(self, row: SampledRow | Quarantined) -> None:
        """Take a finished row; raises what an earlier one could not be written for."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if isinstance(row, SampledRow):
                self._rollouts.extend(row.rollouts)
            else:
                self._quarantined.append(row)

    def flush(self) -> None:
        """When this returns, all rows that were added are durable."""
        with self._lock:
            if not self._rollouts and not self._quarantined:
                return
            sink, part = self._sink, next(self._part_names)
            if self._rollouts:
                sink.storage.write_parquet(f"{pending(sink.folder)}/part-{part}", table(sink.columns, self._rollouts))
            if self._quarantined:
                write_quarantine(sink, part, self._quarantined)
            self._rollouts, self._quarantined = [], []
            self.last_part = part

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._closed.set()
        self._thread.join()
        self.flush()

    def _flush_regularly(self) -> None:
        while not self._closed.wait(FLUSH_INTERVAL_S):
            try:
                self.flush()
            except Exception as error:
                self._failure = error
                return


def pending(folder: str) -> str:
    """Where the parts of a stage lie before it is committed."""
    return f"{folder}/pending"


def write_quarantine(sink: RowSink, part: str, rows: Sequence[Quarantined]) -> None:
    """Write rows that cannot be sampled as one part."""
    records = [
        {
            "stage": sink.stage,
            "problem_id": row.problem_id,
            "strategy": row.requested,
            "reason": row.reason,
            "ask_id": row.ask_id,
        }
        for row in rows
    ]
    sink.storage.write_parquet(f"quarantine/{sink.stage}-{part}", table("quarantine", records))


def quarantine_parts(storage: Storage, stage: str) -> list[str]:
    """Files with the quarantined rows of a stage."""
    return [name for name in storage.files("quarantine", ".parquet") if name.startswith(f"quarantine/{stage}-")]


def quarantined_rows(storage: Storage, stage: str) -> list[dict[str, str]]:
    """Rows {problem_id, strategy (what was requested), reason, ask_id} that a stage could not sample, each once."""
    columns = ["problem_id", "strategy", "reason", "ask_id"]
    rows = read_columns(storage, "quarantine", quarantine_parts(storage, stage), columns)
    rows = _with_ask_ids(rows, "strategy")
    return list({(row["problem_id"], row["ask_id"]): row for row in rows.to_pylist()}.values())


def finished_rows(sink: RowSink, writer_id: str = "") -> set[RowKey]:
    """The rows that are durable, sampled or quarantined; of one writer, or of all."""
    storage = sink.storage
    rows: set[RowKey] = set()
    for kind, names, requested in (
        ("rollouts", storage.files(pending(sink.folder), ".parquet"), "requested"),
        ("quarantine", quarantine_parts(storage, sink.stage), "strategy"),
    ):
        for name in names:
            if writer_id in name:
                part = read_columns(storage, kind, [name], ["problem_id", requested, "ask_id"])
                rows.update(_row_keys(_with_ask_ids(part, requested)))
    return rows


def compact(sink: RowSink) -> list[str]:
    """Make the pending parts of a finished stage into few files, rows in the order of their keys within each; names.

    The pending parts stay until `discard_pending`: they are the truth until the stage is committed.
    """
    storage, prefix = sink.storage, f"{sink.folder}/{sink.stage}-"
    for left_over in storage.files(sink.folder, ".parquet"):
        if left_over.startswith(prefix):
            storage.delete_file(left_over)
    names = []
    for index, rows in enumerate(_large_tables(_unique_rows(sink))):
        names.append(f"{prefix}{index:05d}.parquet")
        ordered = rows.sort_by([(key, "ascending") for key in ("problem_id", "ask_id", "sample_index")])
        storage.write_parquet(names[-1], ordered)
    return names


def discard_pending(storage: Storage, folder: str) -> None:
    """Remove the pending parts of a stage that has been committed."""
    storage.delete_folder(pending(folder))


def _unique_rows(sink: RowSink) -> "Iterator[pa.Table]":
    """Tables of the pending parts without rows that were in an earlier part, or earlier in the same one, and without
    those that are not kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seen: set[int] = set()
    for name in sink.storage.files(pending(sink.folder), ".parquet"):
        part = _with_ask_ids(read_columns(sink.storage, sink.columns, [name]), "requested")
        part = part.filter(pc.not_equal(part["requested"], TAG_ALONE))
        keys = [hash(key) for key in _row_keys(part)]
        first = dict(zip(reversed(part["request_id"].to_pylist()), range(len(keys) - 1, -1, -1), strict=True))
        new = sorted(index for index in first.values() if keys[index] not in seen)
        seen.update(keys)
        yield part if len(new) == len(keys) else part.take(pa.array(new, pa.int64()))


def _large_tables(tables: "Iterator[pa.Table]") -> "Iterator[pa.Table]":
    import pyarrow as pa

    collected: list[pa.Table] = []
    num_rows = 0
    for part in tables:
        collected.append(part)
        num_rows += part.num_rows
        if num_rows >= _ROWS_PER_FILE:
            yield pa.concat_tables(collected)
            collected, num_rows = [], 0
    if collected:
        yield pa.concat_tables(collected)


def _with_ask_ids(rows: "pa.Table", requested: str) -> "pa.Table":
    """Rows that siked-ray 0.1 wrote have no id of their ask: it was what was requested."""
    import pyarrow.compute as pc

    filled = pc.coalesce(rows["ask_id"], rows[requested])
    return rows.set_column(rows.schema.get_field_index("ask_id"), "ask_id", filled)


def _row_keys(rows: "pa.Table") -> list[RowKey]:
    return list(zip(rows["problem_id"].to_pylist(), rows["ask_id"].to_pylist(), strict=True))
