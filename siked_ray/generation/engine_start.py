"""Has an engine come up? What Ray says of an actor that opens one."""

import time
from typing import Any

from siked_ray.errors import StageError
from siked_ray.generation.pooled_engine import PooledEngine

_ASK_AGAIN_S = 0.1
#: Times that an engine may be lost, with its process or node, before it is up.
_MAX_FAILED_STARTS = 5
#: What Ray says of an actor whose constructor raised; it is not started again.
_CREATION_FAILED = "error raised in its creation task"


def asked(actor: Any) -> Any:
    """A reference that is done when the engine is up, or fails when it has to be asked again."""
    return actor.ready.remote()


def take_in(engine: PooledEngine, log_dir: str) -> None:
    """Note what an engine that came up says of itself. Raises StageError when it cannot be opened."""
    import ray

    ready, _ = ray.wait([engine.opening], timeout=0)
    if not ready:
        return
    try:
        facts = ray.get(engine.opening)
    except ray.exceptions.RayError as error:
        _check_start(engine, error, log_dir)
        facts = engine.before
    if facts == engine.before:  # Ray is still starting it again, or has not ended it yet
        time.sleep(_ASK_AGAIN_S)
        engine.opening = asked(engine.actor)
        return
    engine.facts, engine.opening, engine.num_failures = facts, None, 0
    engine.idle_since = time.monotonic()


def _check_start(engine: PooledEngine, error: Exception, log_dir: str) -> None:
    """Raises StageError when an engine cannot be opened: for a reason of its own, or because it dies every time."""
    import ray

    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return
    engine.num_failures += engine.before is None  # one that the pool had killed dies for a while, and answers so
    if _CREATION_FAILED in str(error) or engine.num_failures > _MAX_FAILED_STARTS:
        raise StageError(f"An engine did not start: {_telling_line(str(error))} (its log is in {log_dir})") from None


def _telling_line(text: str) -> str:
    """The last line of a traceback that names an error; further lines only elaborate."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no reason given"
    )
