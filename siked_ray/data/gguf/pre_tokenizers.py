"""How text is cut before byte-level BPE: llama.cpp's names for it, and the same as `tokenizers` writes it down.

A GGUF file has the name alone, a model directory the thing itself. The names and what they stand for are those of
llama.cpp's convert_hf_to_gguf.py and src/llama-vocab.cpp.
"""

import json
from typing import Any

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"


def _bytes(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _split(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, _bytes(use_regex=False)]}


_SMOLLM = {
    "type": "Sequence",
    "pretokenizers": [{"type": "Digits", "individual_digits": True}, _bytes(use_regex=True)],
}
#: By llama.cpp's name; of several names for the same thing the first is the one that is written.
PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": _bytes(use_regex=True),
    "smollm": _SMOLLM,
    "qwen2": _split(_QWEN2),
    "deepseek-r1-qwen": _split(_QWEN2),
    "llama-bpe": _split(_LLAMA3),
    "llama3": _split(_LLAMA3),
    "llama-v3": _split(_LLAMA3),
}
#: With these llama.cpp takes a word that is a token as it is, before any merge, and begins a text with its first token.
LLAMA3_NAMES = ("llama-bpe", "llama3", "llama-v3")


def pre_tokenizer(name: str) -> Any:
    """The pre-tokenizer that a name of `PRE_TOKENIZERS` stands for."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    empty = json.loads(Tokenizer(BPE()).to_str())
    return Tokenizer.from_str(json.dumps(empty | {"pre_tokenizer": PRE_TOKENIZERS[name]})).pre_tokenizer


def name_of(described: Any, *, ignores_merges: bool) -> str | None:
    """llama.cpp's name of a pre-tokenizer as `tokenizer.json` describes it; None where it has none."""
    wanted = _plain(described)
    for name, known in PRE_TOKENIZERS.items():
        if _plain(known) == wanted and ignores_merges == (name in LLAMA3_NAMES):
            return name
    return None


def _plain(described: Any) -> Any:
    """Without what changes no token, and a sequence of one as the one."""
    if isinstance(described, dict):
        kept = {key: _plain(value) for key, value in described.items() if key != "trim_offsets"}
        inner = kept.get("pretokenizers")
        return inner[0] if isinstance(inner, list) and len(inner) == 1 else kept
    return [_plain(one) for one in described] if isinstance(described, list) else described
