"""The actors of a run that outlive the process which started it: the driver and its board, found by name.

Both belong to the cluster, not to a process ("detached" in Ray's words): they are started again when their node is
lost, and end when the run does. One run directory has one driver, whoever asks for it first.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from siked_ray.config import Config
from siked_ray.data.storage import Storage
from siked_ray.driver.actor import Driver
from siked_ray.driver.board import ProgressBoard
from siked_ray.driver.board_client import Board
from siked_ray.driver.inputs import RunInputs
from siked_ray.driver.lock import check_not_occupied

NAMESPACE = "siked"
#: Losses of the driver's process or node that a run survives; preempted nodes do not count for Ray.
_MAX_RESTARTS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class RunActors:
    """Ray's handle of a run's driver, and its board."""

    driver: Any
    board: Board


def start_or_join(
    config: Config,
    inputs: RunInputs,
    log_dir: str,
    make_lab: Callable[[Driver], Any] | None = None,
) -> RunActors:
    """The actors of this run directory: those that live already, or new ones.

    They prefer the head: the one node that does not come and go with the work. Raises UserError when the directory
    has a driver that is no part of this cluster.
    """
    storage, node_id = Storage(config.run_dir), _head_node_id()
    root, living = storage.root, _living_driver(storage.root)
    if living is None:
        check_not_occupied(storage)
    board = Board(_detached(ProgressBoard, f"board of {root}", node_id, max_restarts=-1, max_task_retries=-1).remote())
    if living is not None:
        return RunActors(driver=living, board=board)
    driver = _detached(Driver, f"driver of {root}", node_id, max_restarts=_MAX_RESTARTS, max_concurrency=4)
    return RunActors(driver=driver.remote(config, inputs, board, log_dir, make_lab), board=board)


def _living_driver(root: str) -> Any | None:
    import ray

    with suppress(ValueError):
        return ray.get_actor(f"driver of {root}", NAMESPACE)
    return None


def end(actors: Sequence[Any]) -> None:
    """End actors for good, those included that are gone already."""
    import ray

    for actor in actors:
        with suppress(Exception):
            ray.kill(actor, no_restart=True)


def _detached(cls: type, name: str, node_id: str, **options: Any) -> Any:
    import ray

    remote: Any = ray.remote(cls)
    return remote.options(
        name=name,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        # Not a soft node affinity: Ray ignores it for an actor without resources (docs/log.md).
        label_selector={"ray.io/node-id": node_id},
        fallback_strategy=[{"label_selector": {}}],
        **options,
    )


def _head_node_id() -> str:
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return next((node for node in alive if "node:__internal_head__" in node["Resources"]), alive[0])["NodeID"]
