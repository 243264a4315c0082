"""The workers of a training stage, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerGroup:
    """Number of workers, what Ray reserves for each, and how their work outlives them.

    With fewer than `num_workers` places in the cluster, training goes on with `min_workers` or more. A group that is
    to start again, after a loss, waits for its places no longer than `placement_timeout_s` in all.
    """

    num_workers: int
    min_workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    max_failures: int
    placement_timeout_s: float
    checkpoint_interval_s: float
    num_checkpoints: int
    loggers: tuple[str, ...]
    resources: Mapping[str, float] = field(default_factory=dict)
