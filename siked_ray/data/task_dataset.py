"""Ray Data datasets whose blocks are made by functions of ours, in tasks that reserve no CPU.

So they run also where engines or training workers have taken all CPUs; how many run at once is said instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

#: Makes tables one after the other; runs in a process of its own, somewhere on the cluster.
TableTask = Callable[[], "Iterator[pa.Table]"]


def task_dataset(
    tasks: Sequence[TableTask],
    *,
    tasks_at_once: int,
    ordered: bool,
    max_bytes_ahead: int | None = None,
    bytes_per_block: int | None = None,
    remote_args: Mapping[str, Any] | None = None,
) -> Any:
    """A lazy `ray.data.Dataset` of the tables that `tasks` make, one read task each; `ordered`: in their order.

    Tables that nobody has taken yet may fill `max_bytes_ahead` of the object store, by default what Ray Data allows.
    Tables of a task that follow each other become blocks of `bytes_per_block`, by default Ray Data's many MiB.
    """
    import ray
    from ray.data import ExecutionResources

    data = ray.data.read_datasource(
        _source(tasks),
        num_cpus=0,
        concurrency=min(tasks_at_once, len(tasks)),
        override_num_blocks=len(tasks),
        ray_remote_args=dict(remote_args or {}),
    )
    data.context.execution_options.preserve_order = ordered
    if bytes_per_block is not None:
        data.context.target_max_block_size = bytes_per_block
    if max_bytes_ahead is not None:
        limits = ExecutionResources.for_limits(object_store_memory=max_bytes_ahead)
        data.context.execution_options.resource_limits = limits
    data.context.enable_progress_bars = False  # the board shows it
    return data


def block_references(data: Any) -> Iterator[tuple[Any, int]]:
    """Run a dataset; a reference to each of its blocks, which stays where it was made, and how many rows it has."""
    for bundle in data.iter_internal_ref_bundles():
        for block in bundle.blocks:
            if block.metadata.num_rows:
                yield block.ref, block.metadata.num_rows


def _source(tasks: Sequence[TableTask]) -> Any:
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)

    class TaskSource(Datasource):  # type: ignore[misc]  # Ray's classes are untyped here
        """One read task per function."""

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(
            self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
        ) -> list[ReadTask]:
            return [ReadTask(task, unknown) for task in tasks]

    return TaskSource()
