"""Before a stage: tell the autoscaler what it needs, and wait for it; after `cluster.placement_timeout_s` say what is
missing. Nothing waits for ever."""

import time
from typing import Protocol

from siked_ray.capacity.bundles import engines_demand, missing, total, training_demand
from siked_ray.config import Config
from siked_ray.core.demand import Demand
from siked_ray.core.reporting import Reporter
from siked_ray.errors import PlacementError
from siked_ray.settings import STUDENT

_LOOK_INTERVAL_S = 2.0
#: Lines of the autoscaler's report that fit into a message.
_MAX_STATUS_LINES = 40


class HoldsEngines(Protocol):
    """What may hold engines from one stage to the next."""

    @property
    def student_is_up(self) -> bool:
        """True while the student's engines have their places."""

    def make_room_for_training(self) -> None:
        """Give back what training may need."""

    def close(self) -> None:
        """Give back everything."""


class Placement(Protocol):
    """Waits before a stage until it has its place."""

    def before_sampling(self, key: str) -> None:
        """For engines of the student ("student"), or of a part of the teacher."""

    def before_training(self) -> None:
        """For the training workers."""


class Anywhere:
    """Waits for nothing: Ray places what is asked for."""

    def before_sampling(self, key: str) -> None: ...

    def before_training(self) -> None: ...


class StagePlacement:
    """Resources held by engines this run keeps are not counted as missing; what can be given back is given back
    first."""

    def __init__(self, config: Config, board: Reporter, engines: HoldsEngines) -> None:
        self._config = config
        self._board = board
        self._engines = engines

    def before_sampling(self, key: str) -> None:
        """Return once the engines of the student, or of a part of the teacher, can be placed.

        Raises PlacementError that names what is missing.
        """
        if key != STUDENT or not self._engines.student_is_up:
            self._await(engines_demand(self._config, key))

    def before_training(self) -> None:
        """Return once the training workers can be placed; raises PlacementError that names what is missing."""
        self._engines.make_room_for_training()
        demand = training_demand(self._config)
        if self._engines.student_is_up and _lacking(demand):  # a node was lost: side by side they fit no more
            self._engines.close()
        self._await(demand)

    def _await(self, demand: Demand) -> None:
        """Ask the autoscaler for the bundles and wait until nodes have room."""
        from ray.autoscaler.sdk import request_resources

        request_resources(bundles=[dict(bundle) for bundle in demand.bundles])
        timeout_s = self._config.cluster.placement_timeout_s
        started = time.monotonic()
        lacking = _lacking(demand)
        if not lacking:
            return
        title = f"waiting for nodes: {demand.what}"
        self._board.begin(title, "", 0)
        while lacking:
            if time.monotonic() - started > timeout_s:
                self._board.end(title, "timed out")
                raise PlacementError(_sentence(demand, lacking, timeout_s))
            time.sleep(_LOOK_INTERVAL_S)
            lacking = _lacking(demand)
        self._board.end(title, f"placed after {time.monotonic() - started:.0f} s")


def release_nodes() -> None:
    """Tell the autoscaler that nothing is needed any more: nodes that stay idle are given back."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=[])


def _lacking(demand: Demand) -> str:
    """What is missing: of the nodes as they are, and of what others have left of them."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    phrase = missing(demand.bundles, nodes)
    if phrase:
        return phrase
    free = ray.available_resources()
    short = {
        name: amount - free.get(name, 0.0)
        for name, amount in total(demand.bundles).items()
        if amount > free.get(name, 0.0) + 1e-6
    }
    return "; ".join(f"{amount:g} {name} are taken by something else" for name, amount in short.items())


def _sentence(demand: Demand, lacking: str, timeout_s: float) -> str:
    return (
        f"{demand.what} could not be placed within {timeout_s:g} s: {lacking}. Add such nodes (or raise the "
        f"autoscaler's maximum), lower {demand.settings}, or raise cluster.placement_timeout_s. {autoscaler_status()}"
    )


def autoscaler_status() -> str:
    """What `ray status` says, shortened; or that there is no autoscaler."""
    import ray

    from siked_ray.ray_internals import debug_status, internal_kv_get

    try:
        status, error = internal_kv_get("__autoscaling_status"), internal_kv_get("__autoscaling_error")
        text = debug_status(status, error, address=ray.get_runtime_context().gcs_address)
    except Exception as problem:
        return f"(The autoscaler's status could not be read: {problem})"
    if text.startswith("No cluster status"):
        return "No autoscaler reports to this cluster: its nodes are what it has."
    lines = [line for line in text.splitlines() if line.strip()]
    return "The autoscaler says:\n" + "\n".join(lines[:_MAX_STATUS_LINES])
