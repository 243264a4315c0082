"""Requests to a model and the rollouts that come back."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

from siked_ray.core.reasoning import Accept, Reasoning, Steps
from siked_ray.core.verdict import Verdict

#: Strategy name of a request in which the student chooses its own tag.
FREE = "free"

#: A request in which the student chooses, and nothing but its tag is decoded; such rows are not kept.
TAG_ALONE = "free:tag"

#: An integer that is stored with 64 bits; others are with 32.
Long = Annotated[int, "int64"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One sampled completion with its verdict: a row of `RUN/rollouts/…`, whose columns are these fields.

    `requested` is the strategy that was asked for, or FREE; `strategy` is the one that was used ("none" when a free
    completion names no known one). `completion` is the rationale without the strategy's tag; `num_tokens` counts
    generated tokens, `num_prompt_tokens` those of the prompt; `truncated` completions were cut off at the token limit
    and are never correct; `reason` says in a few words how the verdict came about. `ask_id` tells the asks of a
    problem apart (`siked_ray.core.asks`); files of siked-ray 0.1 have no such column, and there it is `requested`.
    `num_thought_chars` were cut from the completion (`siked_ray.core.thoughts`). `steps` are those of a text,
    `uses_question_numbers` is of a program (`siked_ray.core.reasoning`); these and `sound` are None where nothing was
    read: in truncated completions, in those without a strategy, and in files of siked-ray 0.1.
    """

    request_id: str
    problem_id: str
    requested: str
    strategy: str
    sample_index: int
    seed: Long
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
    num_thought_chars: int = 0
    ask_id: str
    steps: Steps | None = None
    uses_question_numbers: bool | None = None
    sound: bool | None = None

    def is_accepted(self, accept: Accept) -> bool:
        """Whether this sample is one that may be kept."""
        return self.verdict is Verdict.CORRECT and (accept is Accept.ANSWER or bool(self.sound))


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutWithMargin(Rollout):
    """A rollout that says how sure the model was of it, in nats (`siked_ray.core.margin`); None where that is not
    known. Stored where a stage asks for it, and nowhere else."""

    margin: float | None = None

    @classmethod
    def of(cls, rollout: Rollout, margin: float | None) -> "RolloutWithMargin":
        """A rollout with its margin."""
        return cls(**{one.name: getattr(rollout, one.name) for one in fields(rollout)}, margin=margin)


def reasoning_columns(reasoning: Reasoning | None) -> dict[str, Any]:
    """The fields of a rollout that say what its reasoning is."""
    if reasoning is None:
        return {}
    return {
        "steps": reasoning.steps,
        "uses_question_numbers": reasoning.uses_question_numbers,
        "sound": reasoning.sound,
    }
