"""What goes between an actor and its vLLM's process."""

from dataclasses import dataclass

from siked_ray.data.payload import TopK
from siked_ray.generation.engine import EngineFailure, RequestRejected, Sample, SamplingParameters


@dataclass(frozen=True, slots=True)
class TakePrompt:
    """The token ids of a row's prompt, once for all completions that will be asked for; not answered."""

    prompt: int
    token_ids: list[int]


@dataclass(frozen=True, slots=True)
class ForgetPrompt:
    """The prompt's row is finished; not answered."""

    prompt: int


@dataclass(frozen=True, slots=True)
class Draw:
    """Asks for one completion of a prompt that was taken."""

    prompt: int
    parameters: SamplingParameters


@dataclass(frozen=True, slots=True)
class Score:
    """Asks for the `top_k` most likely tokens at each place from `first` on of a text."""

    token_ids: list[int]
    first: int
    top_k: int


@dataclass(frozen=True, slots=True)
class LoadWeights:
    """Asks for other weights in place of those that are loaded; answered with None."""

    model: str


#: The number of a request comes back with its outcome.
Request = tuple[int, Draw | Score | LoadWeights]
Message = Request | TakePrompt | ForgetPrompt
Outcome = tuple[int, Sample | TopK | RequestRejected | EngineFailure | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What is finished, and the seconds spent in steps so far."""

    busy_s: float
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine did not open, or broke; the process ends."""

    reason: str
