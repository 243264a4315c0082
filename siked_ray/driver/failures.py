"""From whatever ended a run to one readable sentence."""

import errno
from collections.abc import Iterator

from siked_ray.core.credentials import redacted
from siked_ray.errors import SikedError, StageError
from siked_ray.ray_internals import without_advice


def as_siked_error(error: Exception, log_dir: str) -> SikedError:
    """The error raised on purpose behind what Ray wraps around it, else a sentence with what is known."""
    causes = list(_causes(error))
    for cause in reversed(causes):  # what Ray wraps is of the same class, with a traceback for its message
        if isinstance(cause, SikedError):
            return cause
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return StageError("The disk is full; make room and run the same command again, nothing committed is lost.")
    lines = [line for line in str(causes[-1]).splitlines() if line.strip()]
    return StageError(
        f"The run stopped: {type(causes[-1]).__name__}: {redacted(lines[-1]) if lines else ''} (details in {log_dir}). "
        "What was committed is kept; the same command continues from there."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, in Ray's way and in Python's."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield without_advice(current)
        current = getattr(current, "cause", None) or current.__cause__
