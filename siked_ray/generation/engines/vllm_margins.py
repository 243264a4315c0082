"""How sure vLLM was of a completion, out of the log-probabilities of its tokens: one number leaves its process."""

import itertools
from typing import Any

from siked_ray.core.margin import DecodedToken, Margin, margin_of

#: What a request has to ask for: the two most likely tokens at each place, without a Python object for each.
OPTIONS: dict[str, Any] = {"logprobs": 2, "flat_logprobs": True}
#: A tag is not looked for behind so many.
_MOST_TAG_TOKENS = 24


def margin_of_completion(margin: Margin, completion: Any, tokenizer: Any) -> float | None:
    """In nats. Of each place vLLM's `FlatLogprobs` have the decoded token and then the most likely ones, before any
    temperature."""
    flat = completion.logprobs
    gaps = [flat.logprobs[start + 1] - flat.logprobs[start + 2] for start in flat.start_indices]
    if margin is not Margin.TAG:
        return margin_of(margin, [DecodedToken("", gap) for gap in gaps])
    ids = list(completion.token_ids)[:_MOST_TAG_TOKENS]
    whole, lengths = tokenizer.decode(ids), [len(tokenizer.decode(ids[:count])) for count in range(len(ids) + 1)]
    texts = [whole[start:end] for start, end in itertools.pairwise(lengths)]
    return margin_of(margin, [DecodedToken(text, gap) for text, gap in zip(texts, gaps, strict=False)])
