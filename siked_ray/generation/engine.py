"""What sampling needs of an engine, whatever runs behind it: vLLM, a server, or a fake in tests."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from siked_ray.core.margin import Margin
from siked_ray.errors import StageError


class EngineFailure(StageError):
    """The engine is broken; a new one in its place may do the work."""


class RequestRejected(ValueError):
    """The engine refuses this request for its own reasons (its length, its content); others go on."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prompt:
    """A row's prompt, with the beginning of the response that is forced. `token_ids` is None where a server does the
    tokenising. Each is its own: two rows with the same prompt have two."""

    text: str
    token_ids: list[int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One completion. `finished` is False when the model came to no end: at the token limit, or for what a server calls
    `ending` (empty where it is the limit). `token_ids` and `margin` are there where they were asked for."""

    text: str
    num_prompt_tokens: int
    num_tokens: int
    finished: bool
    ending: str = ""
    token_ids: tuple[int, ...] = field(default=(), repr=False)
    margin: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParameters:
    """How one completion is sampled: from `seed` alone, or greedily at temperature 0; it ends before a `stop` text.
    `with_token_ids` asks for its tokens as well, which a server does not have; `margin` for how sure the model was."""

    seed: int
    temperature: float
    top_p: float
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    with_token_ids: bool = False
    margin: Margin | None = None


class Engine(Protocol):
    """A living engine; all methods may be called from any thread. `max_model_len` is None where it is not known."""

    name: str
    max_model_len: int | None

    @property
    def busy_s(self) -> float:
        """Seconds spent in decoding."""

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        """Queue one completion. The future raises RequestRejected or EngineFailure."""

    def forget(self, prompt: Prompt) -> None:
        """Nothing more will be submitted for a prompt."""

    def load_weights(self, model: str) -> None:
        """Replace the weights in place; nothing may be in flight."""

    def close(self) -> None:
        """End it; what is in flight fails."""


#: Opens an engine on the weights of a directory or name. Picklable: it is called inside the generator actor.
OpenEngine = Callable[[str], Engine]
