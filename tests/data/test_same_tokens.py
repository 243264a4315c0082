"""Tokenizers are compared by what they hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from siked_ray.data.same_tokens import ends_differ, tokens_differ


@pytest.fixture
def changed(tiny_model: str, tmp_path: Path):
    """The tiny tokenizer with another backend or other special tokens."""

    def make(change: Any, **special: str) -> Any:
        whole = json.loads(AutoTokenizer.from_pretrained(tiny_model).backend_tokenizer.to_str())
        change(whole)
        (tmp_path / "changed.json").write_text(json.dumps(whole))
        return PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "changed.json"), eos_token="</s>", **special)

    return make


def same(whole: dict[str, Any]) -> None:
    """Change nothing."""


def test_the_same_content_is_the_same_whatever_it_is_called(tiny_model: str, changed):
    assert tokens_differ(AutoTokenizer.from_pretrained(tiny_model), changed(same)) is None


def test_sizes_and_the_first_differing_token_are_named(tiny_model: str, changed, make_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def exchange(whole: dict[str, Any]) -> None:
        vocabulary = whole["model"]["vocab"]
        by_id = {number: token for token, number in vocabulary.items()}
        vocabulary[by_id[10]], vocabulary[by_id[12]] = 12, 10

    names = tokenizer.convert_ids_to_tokens([10, 12])
    said = tokens_differ(tokenizer, changed(exchange))
    assert said == (
        f"the first has {len(tokenizer)} tokens, the second {len(tokenizer)}; "
        f"token 10 is {names[0]!r} in the first, {names[1]!r} in the second"
    )
    longer = AutoTokenizer.from_pretrained(make_model("longer", num_extra_tokens=2))
    said = tokens_differ(tokenizer, longer)
    assert said is not None and f"{len(tokenizer)} tokens, the second {len(longer)}" in said
    assert f"token {len(tokenizer)} is missing in the first" in said


def test_the_same_tokens_that_are_merged_in_another_order_differ(tiny_model: str, changed):
    def reverse(whole: dict[str, Any]) -> None:
        whole["model"]["merges"].reverse()

    said = tokens_differ(AutoTokenizer.from_pretrained(tiny_model), changed(reverse))
    assert said is not None and "all of them the same; their merges differ: number 0 is" in said


def test_ends_are_told_apart_from_tokens(tiny_model: str):
    one, other = (AutoTokenizer.from_pretrained(tiny_model) for _ in range(2))
    assert ends_differ(one, other) is None
    other.eos_token = "<s>"
    assert tokens_differ(one, other) is None
    assert ends_differ(one, other) == (1, 0)
