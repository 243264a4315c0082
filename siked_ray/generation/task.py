"""What a pool of engines is asked to do, as plain picklable values."""

import pickle
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from siked_ray.core.sampling_plan import SamplingPlan
from siked_ray.core.strategy import Strategy
from siked_ray.core.thoughts import DEFAULT_THOUGHT_TAGS, ThoughtTags
from siked_ray.data.storage import Storage

#: A row of a block of requests (`siked_ray.generation.rendering`): {problem_id, question, answer, requested, context,
#: ask_id, prompt, token_ids, refusal, tags}.
Row = dict[str, Any]
#: (problem_id, ask_id)
RowKey = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationTask:
    """One pass over rows. `weights` is the directory or name that the engine has to have loaded; `model` is what is
    kept with each rollout; `label`, an iteration or the name of a stage, goes into the ids of requests; completions end
    before a `stop` text, and `thought_tags` stand around what a model thinks."""

    label: int | str
    model: str
    weights: str
    run_seed: int
    strategies: tuple[Strategy, ...]
    stop: tuple[str, ...]
    plan: SamplingPlan
    program_timeout_s: float
    thought_tags: ThoughtTags = DEFAULT_THOUGHT_TAGS


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSink:
    """Where finished rows go: parts in `folder`/pending, quarantined ones in quarantine/`stage`-… `columns` are those
    of a kind of `siked_ray.data.schemas`."""

    storage: Storage
    folder: str
    stage: str
    columns: str = "rollouts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A task and where its rows go. It travels packed, with every call, so that it is made into bytes once."""

    task: GenerationTask
    sink: RowSink

    def pack(self) -> bytes:
        """As bytes; the same order gives the same ones."""
        return pickle.dumps(self)

    @classmethod
    def unpack(cls, packed: bytes) -> "Order":
        """Out of `pack`'s bytes, of this program."""
        order: Order = pickle.loads(packed)
        return order


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineStats:
    """Counters of one engine since its start, or sums of them. `accepted` counts samples that may be kept, `rows`
    and `solved` rows by what was requested; `busy_s` is time in decoding steps out of `up_s` since it was ready."""

    samples: int = 0
    accepted: int = 0
    generated_tokens: int = 0
    busy_s: float = 0.0
    up_s: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)
    solved: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "EngineStats") -> "EngineStats":
        return EngineStats(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def __sub__(self, other: "EngineStats") -> "EngineStats":
        return EngineStats(**{one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)})
