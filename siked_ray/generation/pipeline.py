"""The Ray Data pipeline of a generation stage.

Rows {problem_id, question, answer, strategy} stream in batches to the generators; each finished batch is written as one
Parquet part before it counts, so that a restart continues with the rows that are missing.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from siked_ray.core.ids import content_hash
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.generation.pool import CALLS_IN_FLIGHT, EnginePool
from siked_ray.generation.task import GenerationTask, Row

#: A dispatcher only waits; what it reserves bounds how many Ray starts at once.
_DISPATCH_CPUS = 0.1


def finished_rows(storage: Storage, folder: str, stage: str) -> set[tuple[str, str]]:
    """(problem_id, requested strategy) of the rows that are durable, sampled or quarantined."""
    parts = storage.files(folder, ".parquet")
    rows: set[tuple[str, str]] = set()
    for part in parts:
        columns = storage.read_parquet(part, columns=["problem_id", "requested"]).to_pydict()
        rows.update(zip(columns["problem_id"], columns["requested"], strict=True))
    for part in quarantine_parts(storage, stage):
        columns = storage.read_parquet(part, columns=["problem_id", "strategy"]).to_pydict()
        rows.update(zip(columns["problem_id"], columns["strategy"], strict=True))
    return rows


def quarantine_parts(storage: Storage, stage: str) -> list[str]:
    """Files with the quarantined rows of a stage."""
    return [name for name in storage.files("quarantine", ".parquet") if name.startswith(f"quarantine/{stage}-")]


def generate(
    rows: Sequence[Row],
    task: GenerationTask,
    pool: EnginePool,
    storage: Storage,
    *,
    folder: str,
    stage: str,
    batch_size: int,
) -> None:
    """Sample and verify all rows; writes `folder/part-*.parquet` and `quarantine/stage-*.parquet`."""
    import ray

    if not rows:
        return
    dispatcher = _Dispatcher(pool.generators, ray.put(task), storage, folder, stage)
    num_batches = -(-len(rows) // batch_size)
    data = ray.data.from_items(list(rows), override_num_blocks=num_batches).map_batches(
        dispatcher,
        batch_size=batch_size,
        batch_format="pyarrow",
        zero_copy_batch=True,
        num_cpus=_DISPATCH_CPUS,
        concurrency=min(num_batches, CALLS_IN_FLIGHT * len(pool.generators)),
    )
    for _ in data.iter_internal_ref_bundles():
        pass


class _Dispatcher:
    """Sends a batch to the generator with the fewest rows waiting, and makes what comes back durable."""

    def __init__(self, generators: Sequence[Any], task: Any, storage: Storage, folder: str, stage: str) -> None:
        self._generators = list(generators)
        self._task = task
        self._storage = storage
        self._folder = folder
        self._stage = stage

    def __call__(self, batch: Any) -> Any:
        import ray

        rows = batch.to_pylist()
        key = content_hash(*(f"{row['problem_id']}:{row['strategy']}" for row in rows))
        rollouts, quarantined = ray.get(self._least_busy(key).generate.remote(self._task, rows))
        self._write("rollouts", f"{self._folder}/part-{key}.parquet", rollouts)
        rejected = [
            {"stage": self._stage, "problem_id": row.problem_id, "strategy": row.strategy, "reason": row.reason}
            for row in quarantined
        ]
        self._write("quarantine", f"quarantine/{self._stage}-{key}.parquet", rejected)
        return batch.select(["problem_id"])

    def _least_busy(self, key: str) -> Any:
        """The one with fewer rows in flight of two generators that the key picks: balanced without a scheduler."""
        import ray

        first = int(key[:8], 16) % len(self._generators)
        second = (first + 1) % len(self._generators)
        if first == second:
            return self._generators[first]
        pair = [self._generators[first], self._generators[second]]
        in_flight = ray.get([generator.rows_in_flight.remote() for generator in pair])
        return pair[0] if in_flight[0] <= in_flight[1] else pair[1]

    def _write(self, kind: str, name: str, rows: Iterable[Any]) -> None:
        rows = list(rows)
        if rows:
            self._storage.write_parquet(name, table(kind, rows))
