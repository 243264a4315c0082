"""To whom a stage says how far it is. Whoever says it goes on at once: nobody waits for the other side."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol


class Reporter(Protocol):
    """Stages by name: one begins, counts in its unit up to its total, and ends."""

    def begin(self, name: str, unit: str, total: int) -> None:
        """A stage starts."""

    def advance(self, name: str, done: int, figures: Mapping[str, str]) -> None:
        """A stage has done so much."""

    def end(self, name: str, note: str = "") -> None:
        """A stage is finished."""


class TrainingReporter(Reporter, Protocol):
    """What the workers of a training stage say, and ask, besides."""

    def show(self, name: str, figures: Mapping[str, str]) -> None:
        """What there is to say of a stage before it counts anything."""

    def training(self, name: str, step: int, num_steps: int, loss: float, tokens_per_s: float) -> None:
        """An optimizer step is done; `loss` in nats per target."""

    def is_to_stop(self) -> Future[bool]:
        """Whether the run is told to stop; the answer may fail while the other side is on its way to another node."""

    def kept(self) -> None:
        """What was trained when the run was told to stop is in a checkpoint."""
