"""The pool of generator actors: engines are owned by the driver and never leaked.

Starting an engine is expensive and new weights in a living one are cheap, so a pool lives as long as its
architecture is needed. Closing it kills the actors and waits until Ray has their resources back.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from siked_ray.errors import PlacementError, StageError
from siked_ray.generation.generator import Generator
from siked_ray.generation.task import EngineStats
from siked_ray.generation.vllm_engine import EngineOptions

#: Calls one generator works on at once: enough that the next batch is there before the last row of one ends.
CALLS_IN_FLIGHT = 3
_CONTROL_CALLS = 2
_RELEASE_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolSize:
    """Number of engines and what Ray reserves for each."""

    num_engines: int
    cpus_per_engine: float
    gpus_per_engine: float


class EnginePool:
    """`num_engines` living generator actors for one architecture."""

    def __init__(self, model: str, options: EngineOptions, size: PoolSize, *, name: str, log_dir: str) -> None:
        import ray

        actor_class = ray.remote(Generator).options(
            num_cpus=size.cpus_per_engine,
            num_gpus=size.gpus_per_engine,
            max_concurrency=CALLS_IN_FLIGHT + _CONTROL_CALLS,
            max_restarts=3,
            max_task_retries=3,
            runtime_env={"env_vars": options.environment()},
        )
        self._size = size
        self._log_dir = log_dir
        self.generators: list[Any] = [
            actor_class.remote(model, options, f"{log_dir}/{name}_{index:02d}.log") for index in range(size.num_engines)
        ]

    def wait_ready(self, timeout_s: float) -> str:
        """Wait until every engine is up; returns the engine's name and version."""
        import ray

        pending = [generator.ready.remote() for generator in self.generators]
        try:
            return ray.get(pending, timeout=timeout_s)[0]
        except ray.exceptions.GetTimeoutError:
            raise PlacementError(
                f"{len(self.generators)} engine(s) were not up after {timeout_s:.0f} s; free are "
                f"{ray.available_resources()}. Lower engine.num_engines or the resources per engine, or see "
                f"{self._log_dir}."
            ) from None
        except ray.exceptions.RayError as error:
            raise StageError(
                f"An engine did not start: {_telling_line(str(error))} (its log is in {self._log_dir})"
            ) from None

    def stats(self) -> EngineStats:
        """Sum of the engines' counters; engines that do not answer at once count as they did not exist."""
        import ray

        references = [generator.stats.remote() for generator in self.generators]
        ready, _ = ray.wait(references, num_returns=len(references), timeout=2.0)
        return reduce(lambda total, one: total + one, _results(ready), EngineStats())

    def close(self) -> None:
        """End the actors and wait for their resources."""
        import ray

        before = ray.available_resources()
        closing = [generator.close.remote() for generator in self.generators]
        ray.wait(closing, num_returns=len(closing), timeout=10.0)
        for generator in self.generators:
            ray.kill(generator)
        freed = {"CPU": self._size.cpus_per_engine, "GPU": self._size.gpus_per_engine}
        expected = {name: before.get(name, 0) + each * len(self.generators) for name, each in freed.items()}
        for generator in self.generators:
            _wait_until_dead(generator)
        _wait_until_free(expected)
        self.generators = []


def _results(references: Sequence[Any]) -> list[EngineStats]:
    import ray

    results = []
    for reference in references:
        try:
            results.append(ray.get(reference))
        except ray.exceptions.RayError:
            continue
    return results


def _telling_line(text: str) -> str:
    """The last line of a traceback that names an error; further lines only elaborate."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no reason given"
    )


def _wait_until_dead(generator: Any) -> None:
    """A killed actor answers no more; Ray says so once it has noticed."""
    import ray

    deadline = time.monotonic() + _RELEASE_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            ray.get(generator.rows_in_flight.remote(), timeout=1.0)
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
