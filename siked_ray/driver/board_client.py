"""The board as everybody else sees it: a typed handle of its actor that can be sent to other processes."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from siked_ray.driver.board import StageProgress


@dataclass(frozen=True, slots=True)
class Board:
    """Calls `siked_ray.driver.board.ProgressBoard` in its actor (Ray's handle of it).

    What only says something returns at once. What asks waits for the answer, and raises Ray's RayError where the
    actor is gone or on its way to another node.
    """

    actor: Any

    def begin(self, name: str, unit: str, total: int) -> None:
        self.actor.begin.remote(name, unit, total)

    def advance(self, name: str, done: int, figures: Mapping[str, str]) -> None:
        self.actor.advance.remote(name, done, figures)

    def show(self, name: str, figures: Mapping[str, str]) -> None:
        self.actor.show.remote(name, figures)

    def training(self, name: str, step: int, num_steps: int, loss: float, tokens_per_s: float) -> None:
        self.actor.training.remote(name, step, num_steps, loss, tokens_per_s)

    def end(self, name: str, note: str = "") -> None:
        self.actor.end.remote(name, note)

    def interrupt(self) -> None:
        """The driver was lost: what it had begun is begun anew."""
        self.actor.interrupt.remote()

    def kept(self) -> None:
        self.actor.kept.remote()

    def is_to_stop(self) -> Future[bool]:
        """Not waited for, unlike the other questions: training workers ask between steps."""
        return self.actor.is_to_stop.remote().future()

    def stop(self) -> bool:
        """Tell the run to stop. True when training steps are being made, after which `is_kept` will be true."""
        return self._answer(self.actor.stop.remote())

    def is_kept(self) -> bool:
        """Whether what was trained when the run was told to stop is in a checkpoint."""
        return self._answer(self.actor.is_kept.remote())

    def snapshot(self, timeout_s: float | None = None) -> list[StageProgress]:
        """All stages so far; raises Ray's GetTimeoutError after `timeout_s`."""
        return self._answer(self.actor.snapshot.remote(), timeout_s)

    def _answer(self, reference: Any, timeout_s: float | None = None) -> Any:
        import ray

        return ray.get(reference, timeout=timeout_s)
