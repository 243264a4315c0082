"""The pool of generator actors: engines are owned by the driver and never leaked.

Starting an engine is expensive and new weights in a living one are cheap, so a pool lives as long as its
architecture is needed. It grows with the rows that wait, up to its bounds; a lost engine is started again by Ray and
joins when it is up; one whose node is being drained finishes what it has and starts again elsewhere. Closing the pool
kills the actors and waits until Ray has their resources back.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from siked_ray.errors import PlacementError, StageError
from siked_ray.generation.draining import DrainingNodes
from siked_ray.generation.engine import OpenEngine
from siked_ray.generation.generator import EngineFacts, Generator
from siked_ray.generation.task import EngineStats, Row, SamplingPlan

#: Rows that travel to an engine together, at most.
ROWS_PER_CALL = 64
#: Calls that an engine's rows in flight are divided into: the end of one leaves its batch full.
CALLS_PER_ENGINE = 8
_CONTROL_CALLS = 2
_SPARE_CALLS = 2
_RELEASE_TIMEOUT_S = 60.0
_IDLE_S = 60.0
_STATS_TIMEOUT_S = 2.0
#: Losses of one engine that it is started again after.
_MAX_RESTARTS = 30
_ASK_AGAIN_S = 0.1
#: Times that an engine may be lost, with its process or node, before it is up.
_MAX_FAILED_STARTS = 5
#: What Ray says of an actor whose constructor raised; it is not started again.
_CREATION_FAILED = "error raised in its creation task"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSpec:
    """How the pool's engines are opened; `environment` is set before anything is imported in their processes.

    `samples_in_flight` samples, those that wait included, keep one engine's running batch full.
    """

    open_engine: OpenEngine
    environment: Mapping[str, str]
    samples_in_flight: int


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
    """A generator actor as the pool sees it: `opening` until its engine is up, then with `facts`; `is_reserved` while a
    call has it to itself, `is_leaving` while its node is drained. `before` is what it was when the pool
    had it killed, `num_failures` counts its losses before it was up."""

    actor: Any
    opening: Any
    facts: EngineFacts | None = None
    before: EngineFacts | None = None
    num_failures: int = 0
    rows_in_flight: int = 0
    num_calls: int = 0
    is_reserved: bool = False
    is_leaving: bool = False
    idle_since: float = field(default_factory=time.monotonic)


def engines_wanted(num_waiting_rows: int, rows_in_flight: int, size: PoolSize) -> int:
    """As many engines as there are full loads of waiting rows, within the pool's bounds."""
    return max(size.min_engines, min(size.max_engines, math.ceil(num_waiting_rows / rows_in_flight)))


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
                self._take_in(engine)
        self._leave_draining_nodes()
        self._check_start_timeout()
        self._grow(engines_wanted(num_waiting_rows, rows_in_flight, self._size) - len(self._engines))
        if num_waiting_rows == 0:
            self._end_idle()

    def free_engine(self, rows_in_flight: int) -> PooledEngine | None:
        """The engine that is up and has most room for further rows; None when all have `rows_in_flight`."""
        free = [
            engine
            for engine in self._engines
            if engine.facts is not None
            and not engine.is_reserved
            and not engine.is_leaving
            and engine.rows_in_flight < rows_in_flight
            and engine.num_calls < self._max_calls
        ]
        return min(free, key=lambda engine: engine.rows_in_flight, default=None)

    def idle_engine(self) -> PooledEngine | None:
        """An engine that is up and has nothing to do."""
        up = (engine for engine in self._engines if engine.facts is not None and not engine.is_leaving)
        return next((engine for engine in up if not engine.num_calls), None)

    def submit(
        self, engine: PooledEngine, task: Any, sink: Any, rows: Sequence[Row], *, is_reserved: bool = False
    ) -> Any:
        """Have an engine sample rows; the reference is done when they are durable. Then tell it by `returned`.

        With `is_reserved` the engine, which has to be idle, gets no other rows until then.
        """
        engine.is_reserved = is_reserved
        engine.rows_in_flight += len(rows)
        engine.num_calls += 1
        return engine.actor.generate.remote(task, sink, rows)

    def returned(self, engine: PooledEngine, rows: Sequence[Row]) -> None:
        """A call came back."""
        engine.rows_in_flight -= len(rows)
        engine.num_calls -= 1
        engine.is_reserved = False
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
            engine.opening = _asked(engine.actor)

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
        self._end(spare)

    def close(self) -> None:
        """End the actors and wait for their resources."""
        self._end(self._engines)
        self._engines = []

    @property
    def _max_calls(self) -> int:
        return max(CALLS_PER_ENGINE, math.ceil(self._spec.samples_in_flight / ROWS_PER_CALL)) + _SPARE_CALLS

    def _grow(self, num_engines: int) -> None:
        import ray

        if 0 < self._size.gpus_per_engine < 1:  # vLLM takes what changes on its GPU while it opens for its own
            num_engines = min(num_engines, 0 if self.opening else 1)
        actor_class = ray.remote(Generator).options(
            num_cpus=self._size.cpus_per_engine,
            num_gpus=self._size.gpus_per_engine,
            resources=dict(self._size.resources),
            max_concurrency=self._max_calls + _CONTROL_CALLS,
            max_restarts=_MAX_RESTARTS,
            runtime_env={"env_vars": dict(self._spec.environment)},
        )
        for _ in range(num_engines):
            log_path = f"{self._log_dir}/{self._name}_{self._num_started:02d}.log"
            actor = actor_class.remote(self._spec.open_engine, self._model, log_path)
            self._num_started += 1
            self._engines.append(PooledEngine(actor=actor, opening=_asked(actor)))

    def _leave_draining_nodes(self) -> None:
        """Engines there get no more rows, and start elsewhere once they have none."""
        draining = self._draining.node_ids()
        for engine in self._engines:
            if engine.facts is not None and engine.facts.node_id in draining:
                engine.is_leaving = True
                if not engine.num_calls:
                    self.replace(engine, kill=True)

    def _end_idle(self) -> None:
        now = time.monotonic()
        spare = len(self._engines) - self._size.min_engines
        idle = [e for e in self._engines if e.facts is not None and not e.num_calls and now - e.idle_since > _IDLE_S]
        leaving = idle[: max(spare, 0)]
        if leaving:
            self._engines = [engine for engine in self._engines if engine not in leaving]
            self._end(leaving)

    def _take_in(self, engine: PooledEngine) -> None:
        import ray

        ready, _ = ray.wait([engine.opening], timeout=0)
        if not ready:
            return
        try:
            facts = ray.get(engine.opening)
        except ray.exceptions.RayError as error:
            self._check_start(engine, error)
            facts = engine.before
        if facts == engine.before:  # Ray is still starting it again, or has not ended it yet
            time.sleep(_ASK_AGAIN_S)
            engine.opening = _asked(engine.actor)
            return
        engine.facts, engine.opening, engine.num_failures = facts, None, 0
        engine.idle_since = time.monotonic()

    def _check_start(self, engine: PooledEngine, error: Exception) -> None:
        """Raises StageError when an engine cannot be opened: for a reason of its own, or because it dies every time."""
        import ray

        if isinstance(error, ray.exceptions.ActorUnavailableError):
            return
        engine.num_failures += engine.before is None  # one that the pool had killed dies for a while, and answers so
        if _CREATION_FAILED in str(error) or engine.num_failures > _MAX_FAILED_STARTS:
            raise StageError(
                f"An engine did not start: {_telling_line(str(error))} (its log is in {self._log_dir})"
            ) from None

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

    def _end(self, engines: Sequence[PooledEngine]) -> None:
        import ray

        before = ray.available_resources()
        closing = [engine.actor.close.remote() for engine in engines if engine.facts is not None]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=10.0)
        for engine in engines:
            ray.kill(engine.actor)
        num_placed = sum(engine.facts is not None for engine in engines)
        freed = {"CPU": self._size.cpus_per_engine, "GPU": self._size.gpus_per_engine}
        for engine in engines:
            _wait_until_dead(engine.actor)
        _wait_until_free({name: before.get(name, 0) + each * num_placed for name, each in freed.items()})


def _asked(actor: Any) -> Any:
    """A reference that is done when the engine is up, or fails when it has to be asked again."""
    return actor.ready.remote()


def _result(reference: Any) -> EngineStats | None:
    import ray

    try:
        stats: EngineStats = ray.get(reference)
    except ray.exceptions.RayError:
        return None
    return stats


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
