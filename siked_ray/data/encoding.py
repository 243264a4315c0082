"""Tokens of prompts and responses, made by the same functions for training and for generation.

The response is tokenised in two pieces, the tag and the rest, so that a forced tag at generation is exactly
the token prefix of what the student was trained on, whatever the tokenizer merges. Texts are tokenised in batches,
which fast tokenizers do ten times as fast as one by one.
"""

import re
from collections.abc import Sequence
from typing import Any

from siked_ray.core.chat_format import PLAIN, ChatFormat
from siked_ray.data.chat_template import encode_chats, has_chat_template

_TAGGED = re.compile(r"(\[\w+\]:)(.*)", re.DOTALL)


def encode_prompts(tokenizer: Any, prompts: Sequence[str], chat: ChatFormat = PLAIN) -> list[list[int]]:
    """Token ids of prompts: through the model's own chat template where it has one, else as plain text."""
    if has_chat_template(tokenizer):
        return encode_chats(tokenizer, prompts, chat)
    return [_without_end(tokenizer, token_ids) for token_ids in tokenizer(list(prompts))["input_ids"]]


def encode_prompt(tokenizer: Any, prompt: str, chat: ChatFormat = PLAIN) -> list[int]:
    """Token ids of one prompt."""
    return encode_prompts(tokenizer, [prompt], chat)[0]


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of pieces of responses, without special tokens."""
    return [list(token_ids) for token_ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of one piece of a response, without special tokens."""
    return encode_texts(tokenizer, [text])[0]


def encode_forced(tokenizer: Any, prompt: str, forced: str) -> list[int]:
    """Token ids of a prompt and the beginning of the response that is forced, a piece of its own ("" for none)."""
    token_ids = encode_prompt(tokenizer, prompt)
    return token_ids + encode_text(tokenizer, forced) if forced else token_ids


def encode_responses(tokenizer: Any, responses: Sequence[str]) -> list[list[int]]:
    """Token ids of responses, tags tokenised on their own, with the end-of-sequence token that stops generation."""
    pieces = [split_tag(response) for response in responses]
    tags = encode_texts(tokenizer, [tag for tag, _ in pieces])
    rests = encode_texts(tokenizer, [rest for _, rest in pieces])
    return [[*tag, *rest, tokenizer.eos_token_id] for tag, rest in zip(tags, rests, strict=True)]


def encode_response(tokenizer: Any, response: str) -> list[int]:
    """Token ids of one response."""
    return encode_responses(tokenizer, [response])[0]


def load_tokenizer(model: str, *, trust_remote_code: bool = False) -> Any:
    """The model's tokenizer; a missing pad token is not needed anywhere (rows are packed, not padded)."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)


def split_tag(response: str) -> tuple[str, str]:
    """The strategy's tag of a response ("" without one), and the rest."""
    match = _TAGGED.match(response)
    return (match[1], match[2]) if match else ("", response)


def _without_end(tokenizer: Any, token_ids: Sequence[int]) -> list[int]:
    """A prompt goes on, so an end that a tokenizer adds by itself is taken off."""
    ends = bool(token_ids) and token_ids[-1] == tokenizer.eos_token_id
    return list(token_ids[:-1] if ends else token_ids)
