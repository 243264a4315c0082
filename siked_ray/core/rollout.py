"""Requests to a model and the rollouts that come back."""

from dataclasses import dataclass

from siked_ray.core.verdict import Verdict

#: Strategy name of a request in which the student chooses its own tag.
FREE = "free"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One sampled completion with its verdict: a row of `RUN/rollouts/…`.

    `requested` is the strategy that was asked for, or FREE; `strategy` is the one that was used ("none" when a free
    completion names no known one). `completion` is the rationale without the strategy's tag; `num_tokens` counts
    generated tokens, `num_prompt_tokens` those of the prompt; `truncated` completions were cut off at the token limit
    and are never correct; `reason` says in a few words how the verdict came about.
    """

    request_id: str
    problem_id: str
    requested: str
    strategy: str
    sample_index: int
    seed: int
    prompt: str
    completion: str
    num_tokens: int
    truncated: bool
    verdict: Verdict
    predicted: str | None
    reason: str
    model: str
    engine: str
    num_prompt_tokens: int = 0
