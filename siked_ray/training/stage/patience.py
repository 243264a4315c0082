"""An end to Ray Train's waiting: its elastic workers wait for their least number of places for ever.

Imports Ray Train, as its callback has to be one of its own classes.
"""

import time

from siked_ray.errors import PlacementError
from siked_ray.ray_internals import (
    ControllerCallback,
    InitializingState,
    ReschedulingState,
    RestartingState,
    TrainControllerState,
)

_WAITING = (InitializingState, ReschedulingState, RestartingState)


class Patience(ControllerCallback):
    """Ends the stage with a PlacementError once its workers have waited for a place for `timeout_s` seconds on end."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting_since: float | None = None

    def after_controller_state_update(
        self, previous_state: TrainControllerState, current_state: TrainControllerState
    ) -> None:
        """Called by Ray Train several times a second, also when the state is what it was."""
        if not isinstance(current_state, _WAITING):
            self._waiting_since = None
            return
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since > self._timeout_s:
            raise PlacementError(f"no place for the workers for {self._timeout_s:g} s")
