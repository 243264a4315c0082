"""How sure a model is of an answer: the difference of its two highest log-probabilities, which is that of its logits.

After arXiv 2405.02134, which takes the first decoded token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from siked_ray.core.strategy import split_tag


class Margin(StrEnum):
    """Where the difference is taken."""

    FIRST_TOKEN = "first_token"
    TAG = "tag"  # of the strategy's tag, the token that the model was least sure of
    MEAN = "mean"  # over all tokens of the completion
    VOTES = "votes"  # no log-probabilities: the share of the commonest answer of K samples less that of the next


@dataclass(frozen=True, slots=True)
class DecodedToken:
    """A decoded token: its text, and how far the most likely token there was above the next one, in nats; None where
    fewer than two log-probabilities are known."""

    text: str
    gap: float | None


def margin_of(margin: Margin, tokens: Sequence[DecodedToken]) -> float | None:
    """In nats, of a completion; None where nothing is known, such as the tag of one that begins with none."""
    if margin is Margin.VOTES:
        return None
    if margin is Margin.TAG:
        tokens = tokens[: num_tag_tokens([token.text for token in tokens])]
    gaps = [token.gap for token in tokens if token.gap is not None]
    if not gaps or (margin is Margin.FIRST_TOKEN and tokens[0].gap is None):
        return None
    if margin is Margin.FIRST_TOKEN:
        return gaps[0]
    return min(gaps) if margin is Margin.TAG else sum(gaps) / len(gaps)


def num_tag_tokens(texts: Sequence[str]) -> int:
    """Tokens that hold the tag `[cot]:` with which a completion begins; 0 where it begins with none."""
    whole = "".join(texts)
    name, rest = split_tag(whole)
    if name is None:
        return 0
    length = 0
    for index, text in enumerate(texts):
        length += len(text)
        if length >= len(whole) - len(rest):
            return index + 1
    return len(texts)
