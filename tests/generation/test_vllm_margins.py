"""Margins out of vLLM's flat log-probabilities; what vLLM gives is tested where it runs."""

from types import SimpleNamespace
from typing import Any

import pytest

from siked_ray.core.margin import Margin
from siked_ray.data.encoding import load_tokenizer
from siked_ray.generation.engines.vllm_margins import margin_of_completion


def completion(ids: list[int], gaps: list[float]) -> Any:
    """At each place the decoded token, which may be none of the likeliest, and then the two likeliest."""
    values = [value for gap in gaps for value in (-7.0, -0.5, -0.5 - gap)]
    flat = SimpleNamespace(logprobs=values, start_indices=[3 * place for place in range(len(gaps))])
    return SimpleNamespace(token_ids=ids, logprobs=flat)


def test_margins_of_a_completion(tiny_model: str):
    tokenizer = load_tokenizer(tiny_model)
    tag, rest = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("[cot]:", " 4 plus 3 is 7."))
    gaps = [4.0 + place for place in range(len(tag))]
    gaps[-1] = 0.25
    found = completion([*tag, *rest], [*gaps, *[0.125] * len(rest)])
    assert margin_of_completion(Margin.FIRST_TOKEN, found, tokenizer) == pytest.approx(gaps[0])
    assert margin_of_completion(Margin.TAG, found, tokenizer) == pytest.approx(0.25)
    mean = (sum(gaps) + 0.125 * len(rest)) / (len(tag) + len(rest))
    assert margin_of_completion(Margin.MEAN, found, tokenizer) == pytest.approx(mean)
    assert margin_of_completion(Margin.TAG, completion(rest, [1.0] * len(rest)), tokenizer) is None
    assert margin_of_completion(Margin.MEAN, completion([], []), tokenizer) is None
