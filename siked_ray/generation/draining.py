"""Nodes that are about to be taken away: spot instances under notice, nodes drained by hand or by the autoscaler."""

import time
from collections.abc import Set
from contextlib import suppress
from typing import Any, cast

_ASK_AGAIN_S = 5.0


class DrainingNodes:
    """What Ray says of them, asked every few seconds at most. They go on working until they are gone."""

    def __init__(self) -> None:
        self._node_ids: Set[str] = frozenset()
        self._asked_at = float("-inf")

    def node_ids(self) -> Set[str]:
        """Ids of the nodes that are being drained."""
        from ray.exceptions import RayError

        now = time.monotonic()
        if now - self._asked_at >= _ASK_AGAIN_S:
            self._asked_at = now
            with suppress(RayError):  # the cluster's head does not answer just now: what was known still holds
                self._node_ids = frozenset(_draining_nodes())
        return self._node_ids


def _draining_nodes() -> dict[str, int]:
    """Node id → deadline. Ray has it for its own libraries only; Ray Train asks in the same way."""
    from siked_ray.ray_internals import ray_state

    return cast(Any, ray_state.state).get_draining_nodes()
