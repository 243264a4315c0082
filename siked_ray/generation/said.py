"""What a sample says: its answer without thoughts, and the strategy that it is written in."""

from collections.abc import Mapping
from dataclasses import dataclass

from siked_ray.core.rollout import FREE
from siked_ray.core.strategy import AnswerKind, Strategy, split_tag
from siked_ray.core.thoughts import DEFAULT_THOUGHT_TAGS, ThoughtTags, separate_thoughts
from siked_ray.verification.stored import as_stored


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """`completion` is what is judged, stored and trained on; `strategy` is None where a free sample names no known
    one; `num_thought_chars` were cut."""

    strategy: Strategy | None
    completion: str
    num_thought_chars: int


def read_sample(
    text: str, requested: str, strategies: Mapping[str, Strategy], tags: ThoughtTags = DEFAULT_THOUGHT_TAGS
) -> Said:
    """Read a sample's text. `requested` is the strategy whose tag was forced, or FREE; `tags` stand around thoughts."""
    separated = separate_thoughts(text, tags)
    strategy, rationale = _strategy_of(separated.answer, requested, strategies)
    kind = strategy.kind if strategy else AnswerKind.TEXT
    return Said(strategy=strategy, completion=as_stored(rationale, kind), num_thought_chars=separated.num_chars_cut)


def _strategy_of(text: str, requested: str, strategies: Mapping[str, Strategy]) -> tuple[Strategy | None, str]:
    if requested != FREE:
        return strategies[requested], text
    name, rationale = split_tag(text)
    strategy = strategies.get(name) if name else None
    return (strategy, rationale) if strategy else (None, text)
