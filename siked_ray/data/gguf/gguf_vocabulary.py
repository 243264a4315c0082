"""The tokenizer in a GGUF file: byte-level BPE with its added tokens and its chat template."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_ray.data.gguf.gguf_check import BYTE_LEVEL
from siked_ray.data.gguf.gguf_header import GgufHeader
from siked_ray.data.gguf.pre_tokenizers import LLAMA3_NAMES, name_of, pre_tokenizer
from siked_ray.errors import ModelError

if TYPE_CHECKING:
    from gguf import GGUFWriter

#: llama.cpp's numbers for what a token is.
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
#: transformers' names of special tokens, and llama.cpp's.
_SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A tokenizer as a file holds it. `special` maps "bos", "eos", … to numbers of tokens."""

    pre_tokenizer: str
    tokens: Sequence[str]
    kinds: Sequence[int]
    merges: Sequence[str]
    special: Mapping[str, int]
    adds_first_token: bool
    chat_template: str | None

    def add_to(self, writer: "GGUFWriter") -> None:
        """Put it into the header that is being written."""
        writer.add_tokenizer_model(BYTE_LEVEL)
        writer.add_tokenizer_pre(self.pre_tokenizer)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.kinds)
        writer.add_token_merges(self.merges)
        for name, token_id in self.special.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token_id)
        writer.add_add_bos_token(self.adds_first_token)
        writer.add_add_space_prefix(False)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


def vocabulary_of(tokenizer: Any, vocab_size: int, *, shown: str) -> Vocabulary:
    """What a file holds of transformers' tokenizer; ModelError where llama.cpp would cut the same text otherwise."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    model = described["model"]
    problem = next(_problems(described), None)
    if problem:
        raise ModelError(f"{shown} cannot become a GGUF file: {problem}.")
    pre = name_of(described["pre_tokenizer"], ignores_merges=bool(model.get("ignore_merges")))
    assert pre is not None, "the tokenizer is checked"
    added = tokenizer.added_tokens_decoder
    names = {token_id: token for token, token_id in tokenizer.get_vocab().items()}
    return Vocabulary(
        pre_tokenizer=pre,
        tokens=[names.get(token_id, f"[PAD{token_id}]") for token_id in range(vocab_size)],
        kinds=[_kind(token_id, names, added) for token_id in range(vocab_size)],
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
        special={
            other: token_id
            for name, other in _SPECIAL.items()
            if (token_id := getattr(tokenizer, f"{name}_id")) is not None
        },
        adds_first_token=tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id],
        chat_template=_template(tokenizer.chat_template),
    )


def _problems(described: Mapping[str, Any]) -> Iterator[str]:
    model, normalizer = described["model"], described["normalizer"]
    if model["type"] != "BPE":
        yield f"its tokenizer is of the kind {model['type']}, and only byte-level BPE is written"
    elif name_of(described["pre_tokenizer"], ignores_merges=bool(model.get("ignore_merges"))) is None:
        yield "llama.cpp has no name for the way in which its tokenizer cuts text"
    if normalizer is not None and normalizer["type"] != "NFC":
        yield f"its tokenizer changes text before it is cut ({normalizer['type']}), which llama.cpp does not"


def _kind(token_id: int, names: Mapping[int, str], added: Mapping[int, Any]) -> int:
    if token_id not in names:
        return UNUSED
    if token_id not in added:
        return NORMAL
    return CONTROL if added[token_id].special else USER_DEFINED


def _template(template: Any) -> str | None:
    """The chat template; of several the one that is taken where nobody chooses."""
    return template.get("default") if isinstance(template, dict) else template


def tokenizer_in(header: GgufHeader) -> Any:
    """transformers' tokenizer of a file whose header was checked. Raises what `tokenizers` does where it is damaged."""
    from transformers import PreTrainedTokenizerFast

    values = header.values
    tokens = values["tokenizer.ggml.tokens"]
    special = {
        name: tokens[values[f"tokenizer.ggml.{other}_token_id"]]
        for name, other in _SPECIAL.items()
        if f"tokenizer.ggml.{other}_token_id" in values
    }
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_backend(values, special.get("bos_token")),
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **special,
    )
    tokenizer.chat_template = values.get("tokenizer.chat_template")
    return tokenizer


def _backend(values: Mapping[str, Any], first: str | None) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders
    from tokenizers.models import BPE

    tokens, name = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.pre"]
    kinds = values.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    merges = [tuple(merge.split(" ")) for merge in values.get("tokenizer.ggml.merges", [])]
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind != UNUSED}
    backend = Tokenizer(BPE(vocab=vocabulary, merges=merges, ignore_merges=name in LLAMA3_NAMES))
    backend.pre_tokenizer = pre_tokenizer(name)
    backend.decoder = decoders.ByteLevel()
    added = [
        AddedToken(token, normalized=False, special=kind == CONTROL)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in (CONTROL, USER_DEFINED)
    ]
    backend.add_tokens(added)
    if first is not None and values.get("tokenizer.ggml.add_bos_token", name in LLAMA3_NAMES):
        backend.post_processor = _beginning_with(first, vocabulary[first])
    return backend


def _beginning_with(token: str, token_id: int) -> Any:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B:1", special_tokens=[(token, token_id)])
