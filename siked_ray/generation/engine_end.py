"""Ending engines: the actors are killed, and Ray has their resources back on return."""

import time
from collections.abc import Sequence
from typing import Any

from siked_ray.errors import PlacementError
from siked_ray.generation.pooled_engine import PooledEngine, PoolSize

_CLOSE_TIMEOUT_S = 10.0
_RELEASE_TIMEOUT_S = 60.0


def end_engines(engines: Sequence[PooledEngine], size: PoolSize) -> None:
    """End the actors and wait for their resources."""
    import ray

    before = ray.available_resources()
    closing = [engine.actor.close.remote() for engine in engines if engine.facts is not None]
    if closing:
        ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_TIMEOUT_S)
    for engine in engines:
        ray.kill(engine.actor)
    num_placed = sum(engine.facts is not None for engine in engines)
    freed = {"CPU": size.cpus_per_engine, "GPU": size.gpus_per_engine}
    for engine in engines:
        _wait_until_dead(engine.actor)
    _wait_until_free({name: before.get(name, 0) + each * num_placed for name, each in freed.items()})


def _wait_until_dead(generator: Any) -> None:
    """A killed actor answers no more; Ray says so once it has noticed."""
    import ray

    deadline = time.monotonic() + _RELEASE_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            ray.get(generator.ready.remote(), timeout=1.0)
        except ray.exceptions.RayActorError:
            return
        except ray.exceptions.GetTimeoutError:
            continue
        time.sleep(0.1)
    raise PlacementError(f"A generator did not end within {_RELEASE_TIMEOUT_S:.0f} s of being killed.")


def _wait_until_free(expected: dict[str, float]) -> None:
    """Wait until Ray shows the resources as free; on a shared cluster others may take them first, which is no error."""
    import ray

    deadline = time.monotonic() + _RELEASE_TIMEOUT_S
    while time.monotonic() < deadline:
        available = ray.available_resources()
        if all(available.get(name, 0) >= amount - 1e-6 for name, amount in expected.items()):
            return
        time.sleep(0.1)
