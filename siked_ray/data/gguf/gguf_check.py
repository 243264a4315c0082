"""Whether a GGUF file can become a model directory, by its header alone."""

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from siked_ray.data.gguf.gguf_header import GgufHeader, StoredTensor
from siked_ray.data.gguf.gguf_layout import (
    ARCHITECTURES,
    HEAD,
    SIZES,
    sizes_of,
    tensor_names,
    tensor_shapes,
    without_layer,
)
from siked_ray.data.gguf.pre_tokenizers import PRE_TOKENIZERS
from siked_ray.errors import ModelError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

#: Byte-level BPE, as `tokenizer.ggml.model` calls it.
BYTE_LEVEL = "gpt2"
_REMEDY = "Name the model's directory, or its repository on the Hub."


def check_readable(header: GgufHeader, shown: str) -> None:
    """Raises ModelError, which says what cannot be read of the file that the user calls `shown`."""
    problem = next(_problems(header), None)
    if problem:
        raise ModelError(f"{shown}: {problem}")


def _problems(header: GgufHeader) -> Iterator[str]:
    if header.architecture not in ARCHITECTURES:
        yield (
            f"GGUF files of the architecture {header.architecture!r} are not read; those of "
            f"{' and '.join(ARCHITECTURES)} are. {_REMEDY}"
        )
    if header.values.get("split.count", 0) > 1:
        yield (
            f"the model is split into {header.values['split.count']} files; put them together with llama.cpp's "
            "llama-gguf-split --merge and name the result."
        )
    yield from _size_problems(header)
    yield from _tokenizer_problems(header)
    yield from _position_problems(header)
    yield from _layout_problems(header)
    shapes = tensor_shapes(sizes_of(header.values), len(header.values["tokenizer.ggml.tokens"]))
    for tensor in header.tensors:
        yield from _tensor_problems(tensor, header, shapes[without_layer(tensor.name)])


def _size_problems(header: GgufHeader) -> Iterator[str]:
    for key in (f"{header.architecture}.{name}" for name in SIZES):
        value = header.values.get(key)
        if not isinstance(value, int) or value < 1:
            yield f"the GGUF file is damaged: {key} is {value}; fetch it again."
    if sizes_of(header.values)["num_key_value_heads"] < 1:
        yield "the GGUF file is damaged: it has no heads of keys and values; fetch it again."


def _tokenizer_problems(header: GgufHeader) -> Iterator[str]:
    values = header.values
    kind, pre = values.get("tokenizer.ggml.model"), values.get("tokenizer.ggml.pre")
    tokens = values.get("tokenizer.ggml.tokens") or []
    if not tokens:
        yield f"the GGUF file has no tokenizer. {_REMEDY}"
    if kind != BYTE_LEVEL:
        yield f"its tokenizer is of the kind {kind!r}, and only byte-level BPE ({BYTE_LEVEL!r}) is read. {_REMEDY}"
    if pre not in PRE_TOKENIZERS:
        yield (
            f"its tokenizer cuts text as llama.cpp's {pre!r} does, which is not known here; "
            f"{', '.join(PRE_TOKENIZERS)} are. {_REMEDY}"
        )
    for name in ("bos", "eos", "unknown", "padding"):
        token_id = values.get(f"tokenizer.ggml.{name}_token_id", 0)
        if not 0 <= token_id < len(tokens):
            yield f"the GGUF file is damaged: its {name} token is number {token_id} of {len(tokens)}; fetch it again."
    if len(set(tokens)) < len(tokens) or len(values.get("tokenizer.ggml.token_type", tokens)) != len(tokens):
        yield "the GGUF file is damaged: its tokens are not one for each number; fetch it again."


def _position_problems(header: GgufHeader) -> Iterator[str]:
    values, prefix = header.values, header.architecture
    head_dim = sizes_of(values)["head_dim"]
    scaling = values.get(f"{prefix}.rope.scaling.type", "none")
    scaled = scaling != "none" or any(tensor.name.startswith("rope_") for tensor in header.tensors)
    if scaled or values.get(f"{prefix}.rope.dimension_count", head_dim) != head_dim:
        yield f"its positions are scaled, or turn a part of each head, which is not read from GGUF files. {_REMEDY}"


def _layout_problems(header: GgufHeader) -> Iterator[str]:
    """A weight too few would stay random, and one too many would be left out, without a word."""
    found = {tensor.name for tensor in header.tensors}
    num_layers = sizes_of(header.values)["num_hidden_layers"]
    wanted = set(tensor_names(header.architecture, min(num_layers, len(found)), tied=HEAD not in found))
    missing, other = wanted - found, found - wanted
    if missing:
        yield f"the GGUF file is damaged: it lacks {len(missing)} tensors, {min(missing)} among them; fetch it again."
    if other:
        yield f"it has the tensor {min(other)}, which a plain {header.architecture} has not. {_REMEDY}"


def _tensor_problems(tensor: StoredTensor, header: GgufHeader, shape: tuple[int, ...]) -> Iterator[str]:
    from gguf import GGML_QUANT_SIZES

    if tensor.shape != shape:
        yield f"the GGUF file is damaged: {tensor.name} is {tensor.shape}, and has to be {shape}; fetch it again."
    kind = readable_type(tensor.type_number)
    if kind is None:
        yield (
            f"the tensor {tensor.name} is stored as {_type_name(tensor.type_number)}, which cannot be dequantised; "
            "take a file of another quantisation, such as Q4_K_M, Q8_0 or F16."
        )
        return
    block, num_bytes = GGML_QUANT_SIZES[kind]
    if tensor.shape[0] % block:
        yield f"the GGUF file is damaged: {tensor.name} has rows of {tensor.shape[0]}, no multiple of {block}."
    if header.data_start + tensor.offset + math.prod(tensor.shape) // block * num_bytes > header.file_size:
        yield f"the GGUF file is damaged: it ends before the end of its tensor {tensor.name}; fetch it again."


@cache
def readable_type(number: int) -> "GGMLQuantizationType | None":
    """The type of this number, None where it is unknown or the `gguf` package cannot dequantise it."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    if number not in {kind.value for kind in GGMLQuantizationType}:
        return None
    kind = GGMLQuantizationType(number)
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8), kind)
    except NotImplementedError:
        return None
    return kind


def _type_name(number: int) -> str:
    from gguf import GGMLQuantizationType

    known = {kind.value: kind.name for kind in GGMLQuantizationType}
    return known.get(number, f"a type unknown here, number {number}")
