"""Tokens of prompts and responses, made by the same two functions for training and for generation.

The response is tokenised in two pieces, the tag and the rest, so that a forced tag at generation is exactly
the token prefix of what the student was trained on, whatever the tokenizer merges.
"""

import re
from typing import Any

_TAGGED = re.compile(r"(\[\w+\]:)(.*)", re.DOTALL)


def encode_prompt(tokenizer: Any, prompt: str) -> list[int]:
    """Token ids of a prompt: through the model's own chat template where it has one, else as plain text."""
    if getattr(tokenizer, "chat_template", None):
        messages = [{"role": "user", "content": prompt}]
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
    token_ids = list(tokenizer(prompt)["input_ids"])
    return token_ids[:-1] if token_ids and token_ids[-1] == tokenizer.eos_token_id else token_ids


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a piece of a response, without special tokens."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_response(tokenizer: Any, response: str) -> list[int]:
    """Token ids of a response, its tag tokenised on its own, with the end-of-sequence token that stops generation."""
    match = _TAGGED.match(response)
    pieces = match.groups() if match else (response,)
    return [token for piece in pieces for token in encode_text(tokenizer, piece)] + [tokenizer.eos_token_id]


def load_tokenizer(model: str, *, trust_remote_code: bool = False) -> Any:
    """The model's tokenizer; a missing pad token is not needed anywhere (rows are packed, not padded)."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)
