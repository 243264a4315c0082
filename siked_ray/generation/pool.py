"""The pool of generator actors: engines are owned by the driver and never leaked.

Starting an engine is expensive and new weights in a living one are cheap, so a pool lives as long as its
architecture is needed. It grows with the rows that wait, up to its bounds; a lost engine is started again by Ray and
joins when it is up; one whose node is being drained finishes what it has and starts again elsewhere. Closing the pool
kills the actors and waits until Ray has their resources back.
"""

import math
import time
from functools import reduce
from typing import Any

from siked_ray.errors import PlacementError
from siked_ray.generation.draining import DrainingNodes
from siked_ray.generation.engine_end import end_engines
from siked_ray.generation.engine_start import asked, take_in
from siked_ray.generation.generator import Generator
from siked_ray.generation.pooled_engine import EngineSpec, PooledEngine, PoolSize, engines_wanted
from siked_ray.generation.task import EngineStats, SamplingPlan

#: A call with rows, and questions of how far the engine is.
_CALLS_AT_ONCE = 3
_IDLE_S = 60.0
_STATS_TIMEOUT_S = 2.0
#: Losses of one engine that it is started again after.
_MAX_RESTARTS = 30


class EnginePool:
    """Living generator actors for one architecture. Used by one thread, except for `stats` and `flush`."""

    def __init__(self, model: str, spec: EngineSpec, size: PoolSize, *, name: str, log_dir: str) -> None:
        self._model = model
        self._spec = spec
        self._size = size
        self._name = name
        self._log_dir = log_dir
        self._num_started = 0
        self._without_engine_since: float | None = time.monotonic()
        self._engines: list[PooledEngine] = []
        self._draining = DrainingNodes()
        #: What each engine that ever was said of itself last, by its writer's id.
        self._counted: dict[str, EngineStats] = {}
        self._grow(size.min_engines)

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def opening(self) -> list[Any]:
        """References that are done when a further engine is up."""
        return [engine.opening for engine in self._engines if engine.opening is not None]

    def wait_ready(self) -> str:
        """Wait until a first engine is up; returns the engine's name and version."""
        import ray

        while True:
            self.tend()
            for engine in self._engines:
                if engine.facts is not None:
                    return engine.facts.engine
            ray.wait(self.opening, timeout=1.0)

    def rows_in_flight(self, plan: SamplingPlan, num_rows: int) -> int:
        """Rows that keep one engine's running batch full, or an engine's share of `num_rows` where that is less."""
        share = math.ceil(num_rows / self._size.min_engines)
        return min(math.ceil(self._spec.samples_in_flight / plan.samples_at_once), share)

    def tend(self, num_waiting_rows: int = 0, rows_in_flight: int = 1) -> None:
        """Take in engines that came up, start more for what waits, give back what has been idle for long."""
        for engine in self._engines:
            if engine.opening is not None:
                take_in(engine, self._log_dir)
        self._leave_draining_nodes()
        self._check_start_timeout()
        self._grow(engines_wanted(num_waiting_rows, rows_in_flight, self._size) - len(self._engines))
        if num_waiting_rows == 0:
            self._end_idle()

    @property
    def max_engines(self) -> int:
        """As many engines as there will ever be."""
        return self._size.max_engines

    def ready_engines(self) -> list[PooledEngine]:
        """Engines that are up and wait to be told what to do next, those with the fewest rows first."""
        ready = (engine for engine in self._engines if engine.is_ready)
        return sorted(ready, key=lambda engine: engine.rows_in_flight)

    def idle_engine(self) -> PooledEngine | None:
        """An engine that is up and has nothing to do."""
        return next((engine for engine in self._engines if engine.is_idle and not engine.is_leaving), None)

    def returned(self, engine: PooledEngine, num_rows: int) -> None:
        """So many rows of an engine are off its hands."""
        engine.rows_in_flight -= num_rows
        engine.idle_since = time.monotonic()

    def replace(self, engine: PooledEngine, *, kill: bool) -> None:
        """An engine is to be started again, by Ray. `kill`: its actor still lives, without a working engine or on a
        node that it has to leave."""
        import ray

        if engine.opening is None:
            if kill:
                ray.kill(engine.actor, no_restart=False)
            engine.before, engine.facts = engine.facts if kill else None, None
            engine.is_leaving = False
            engine.opening = asked(engine.actor)

    def stats(self) -> EngineStats:
        """Sum of the engines' counters, those that are gone or do not answer at once with what they said last."""
        import ray

        up = [(one.actor, facts.writer_id) for one in list(self._engines) if (facts := one.facts) is not None]
        asked = {actor.stats.remote(): writer_id for actor, writer_id in up}
        ready, _ = ray.wait([*asked], num_returns=len(asked), timeout=_STATS_TIMEOUT_S) if asked else ([], [])
        self._counted |= {asked[reference]: stats for reference in ready if (stats := _result(reference))}
        return reduce(lambda total, one: total + one, list(self._counted.values()), EngineStats())

    def flush(self, timeout_s: float) -> None:
        """Have all engines write the rows that they have finished; may be called by another thread."""
        import ray

        up = [engine.actor for engine in list(self._engines) if engine.facts is not None]
        flushed = [actor.flush.remote() for actor in up]
        if flushed:
            ray.wait(flushed, num_returns=len(flushed), timeout=timeout_s)

    def shrink(self) -> None:
        """End engines beyond the least number, those that are still opening first. None may have work."""
        by_use = sorted(self._engines, key=lambda engine: engine.facts is None)
        self._engines, spare = by_use[: self._size.min_engines], by_use[self._size.min_engines :]
        end_engines(spare, self._size)

    def close(self) -> None:
        """End the actors and wait for their resources."""
        end_engines(self._engines, self._size)
        self._engines = []

    def _grow(self, num_engines: int) -> None:
        import ray

        if 0 < self._size.gpus_per_engine < 1:  # vLLM takes what changes on its GPU while it opens for its own
            num_engines = min(num_engines, 0 if self.opening else 1)
        if num_engines <= 0:  # making a class of actors costs as much as a call, and this is asked at every turn
            return
        actor_class = ray.remote(Generator).options(
            num_cpus=self._size.cpus_per_engine,
            num_gpus=self._size.gpus_per_engine,
            resources=dict(self._size.resources),
            max_concurrency=_CALLS_AT_ONCE,
            max_restarts=_MAX_RESTARTS,
            runtime_env={"env_vars": dict(self._spec.environment)},
        )
        for _ in range(num_engines):
            log_path = f"{self._log_dir}/{self._name}_{self._num_started:02d}.log"
            actor = actor_class.remote(self._spec.open_engine, self._model, log_path)
            self._num_started += 1
            self._engines.append(PooledEngine(actor=actor, opening=asked(actor)))

    def _leave_draining_nodes(self) -> None:
        """Engines there get no more rows, and start elsewhere once they have none."""
        draining = self._draining.node_ids()
        for engine in self._engines:
            if engine.facts is not None and engine.facts.node_id in draining:
                engine.is_leaving = True
                if engine.is_idle:
                    self.replace(engine, kill=True)

    def _end_idle(self) -> None:
        now = time.monotonic()
        spare = len(self._engines) - self._size.min_engines
        idle = [one for one in self._engines if one.is_idle and now - one.idle_since > _IDLE_S]
        leaving = idle[: max(spare, 0)]
        if leaving:
            self._engines = [engine for engine in self._engines if engine not in leaving]
            end_engines(leaving, self._size)

    def _check_start_timeout(self) -> None:
        import ray

        if any(engine.facts is not None for engine in self._engines):
            self._without_engine_since = None
            return
        now = time.monotonic()
        self._without_engine_since = self._without_engine_since or now
        if now - self._without_engine_since > self._size.start_timeout_s:
            raise PlacementError(
                f"No engine was up for {self._size.start_timeout_s:.0f} s. Each of {len(self._engines)} wants "
                f"{self._size.cpus_per_engine:g} CPU and {self._size.gpus_per_engine:g} GPU; free are "
                f"{ray.available_resources()}. Lower engine.num_engines or the resources per engine; raise "
                f"cluster.placement_timeout_s if the model takes longer to load; or see {self._log_dir}."
            )


def _result(reference: Any) -> EngineStats | None:
    import ray

    try:
        stats: EngineStats = ray.get(reference)
    except ray.exceptions.RayError:
        return None
    return stats
