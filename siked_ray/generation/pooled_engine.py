"""Engines as their pool sees them."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.generation.engine import OpenEngine
from siked_ray.generation.generator import EngineFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSpec:
    """How the pool's engines are opened; `environment` is set before anything is imported in their processes.

    `samples_in_flight` samples, those that wait included, keep one engine's running batch full. `tokenises` is False
    where a server does that; `trust_remote_code` and `chat` are about the tokenizer.
    """

    open_engine: OpenEngine
    environment: Mapping[str, str]
    samples_in_flight: int
    tokenises: bool
    trust_remote_code: bool = False
    chat: ChatFormat = PLAIN


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolSize:
    """Bounds of the number of engines, and what Ray reserves for each."""

    min_engines: int
    max_engines: int
    cpus_per_engine: float
    gpus_per_engine: float
    resources: Mapping[str, float]
    start_timeout_s: float


@dataclass(slots=True, eq=False)
class PooledEngine:
    """A generator actor: `opening` until its engine is up, then with `facts`; `rows_in_flight` counts rows that it was
    given and that are not known to be durable, `is_asked` while it has not said that it is ready for more, `is_leaving`
    while its node is drained. `before` is what it was when the pool had it killed, `num_failures` counts its losses
    before it was up."""

    actor: Any
    opening: Any
    facts: EngineFacts | None = None
    before: EngineFacts | None = None
    num_failures: int = 0
    rows_in_flight: int = 0
    is_asked: bool = False
    is_leaving: bool = False
    idle_since: float = field(default_factory=time.monotonic)

    @property
    def is_ready(self) -> bool:
        """True when it is up and waits to be told what to do next."""
        return self.facts is not None and not self.is_asked

    @property
    def is_idle(self) -> bool:
        """True when it is up and has nothing to do."""
        return self.is_ready and not self.rows_in_flight


def engines_wanted(num_waiting_rows: int, rows_in_flight: int, size: PoolSize) -> int:
    """As many engines as there are full loads of waiting rows, within the pool's bounds."""
    return max(size.min_engines, min(size.max_engines, math.ceil(num_waiting_rows / rows_in_flight)))
