"""What goes between an actor and its vLLM's process."""

from dataclasses import dataclass

from siked_ray.generation.engine import EngineFailure, RequestRejected, Sample, SamplingParameters


@dataclass(frozen=True, slots=True)
class Encode:
    """Asks for the token ids of a prompt, followed by the beginning of the response that is forced."""

    prompt: str
    forced: str


@dataclass(frozen=True, slots=True)
class Draw:
    """Asks for one completion."""

    prompt_token_ids: list[int]
    parameters: SamplingParameters


@dataclass(frozen=True, slots=True)
class LoadWeights:
    """Asks for other weights in place of those that are loaded; answered with None."""

    model: str


#: The number of a request comes back with its outcome.
Request = tuple[int, Encode | Draw | LoadWeights]
Outcome = tuple[int, list[int] | Sample | RequestRejected | EngineFailure | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What is finished, and the seconds spent in steps so far."""

    busy_s: float
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine did not open, or broke; the process ends."""

    reason: str
