"""What a sampling stage asks of a model: problems, what is requested of each, and a text of earlier stages or none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from siked_ray.core.ids import content_hash

_HASH_CHARS = 8


def ask_id(requested: str, context: str | None = None) -> str:
    """What tells the asks of one problem apart: `requested` alone, or with a hash of the context where there is one."""
    return f"{requested}@{content_hash(context, num_chars=_HASH_CHARS)}" if context else requested


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What a model is given: its prompt, and the beginning of its response that is forced ("" for none). `looked_for`
    are beginnings by strategy, where the question is with which one the model begins by itself."""

    prompt: str
    forced: str = ""
    looked_for: Mapping[str, str] = field(default_factory=dict)


class Render(Protocol):
    """A pure, picklable function from an ask to what the model is given. Completions end before a `stop` text."""

    @property
    def stop(self) -> tuple[str, ...]: ...

    def __call__(self, question: str, requested: str, context: str | None) -> Rendered: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Asks:
    """All asks of a stage: each problem of `problems` with each of `requested`, or the rows of `table`.

    `problems` are names of problem tables; a problem in two of them is asked once. `table` names a Parquet table
    {problem_id, requested, context} whose rows go with those problems; a row without its problem is not asked.
    """

    problems: tuple[str, ...]
    render: Render
    requested: tuple[str, ...] = ()
    table: str | None = None
