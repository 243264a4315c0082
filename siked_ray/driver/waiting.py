"""Before a stage: tell the autoscaler what it needs, and wait for it; after `cluster.placement_timeout_s` say what is
missing. Nothing waits for ever."""

import time
from typing import Any, Protocol

from siked_ray.config import Config
from siked_ray.driver.demand import STUDENT, Demand, engines_demand, missing, total, training_demand
from siked_ray.errors import PlacementError

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


class StagePlacement:
    """What engines hold that this run keeps is not waited for, and what it can give back is given back first."""

    def __init__(self, config: Config, board: Any, engines: HoldsEngines) -> None:
        self._config = config
        self._board = board
        self._engines = engines

    def before(self, stage: str) -> None:
        """Return once the stage of this name can be placed; raises PlacementError that names what is missing."""
        kind = stage.partition("_")[0]
        if stage == "rollouts_teacher":  # its engines end with the stage, one part after the other
            for part in self._config.teacher_parts():
                if part.source.is_sampled:
                    self._await(engines_demand(self._config, part.key))
        elif kind in ("rollouts", "candidate", "evaluation", "tests") and not self._engines.student_is_up:
            self._await(engines_demand(self._config, STUDENT))
        elif kind == "training":
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
        self._board.begin.remote(title, "", 0)
        while lacking:
            if time.monotonic() - started > timeout_s:
                self._board.end.remote(title, "in vain")
                raise PlacementError(_sentence(demand, lacking, timeout_s))
            time.sleep(_LOOK_INTERVAL_S)
            lacking = _lacking(demand)
        self._board.end.remote(title, f"placed after {time.monotonic() - started:.0f} s")


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
    from ray.autoscaler._private.commands import debug_status
    from ray.experimental.internal_kv import _internal_kv_get

    try:
        status, error = _internal_kv_get("__autoscaling_status"), _internal_kv_get("__autoscaling_error")
        text = debug_status(status, error, address=ray.get_runtime_context().gcs_address)
    except Exception as problem:
        return f"(The autoscaler's status could not be read: {problem})"
    if text.startswith("No cluster status"):
        return "No autoscaler reports to this cluster: its nodes are what it has."
    lines = [line for line in text.splitlines() if line.strip()]
    return "The autoscaler says:\n" + "\n".join(lines[:_MAX_STATUS_LINES])
