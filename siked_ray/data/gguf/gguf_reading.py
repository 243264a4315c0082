"""A GGUF file becomes a model directory as Hugging Face writes it: weights dequantised, tokenizer and chat template as
the file has them.

transformers reads such files too, but refuses to save what it read, cuts text as GPT-2 does where it does not know the
file's own way, and takes a minute.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_ray.data.gguf.gguf_check import check_readable, readable_type
from siked_ray.data.gguf.gguf_header import GgufHeader, StoredTensor, read_header
from siked_ray.data.gguf.gguf_layout import (
    ARCHITECTURES,
    HEAD,
    neighbours_to_halves,
    num_turned_heads,
    sizes_of,
    tensor_names,
)
from siked_ray.data.gguf.gguf_vocabulary import tokenizer_in
from siked_ray.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

_DEFAULT_ROPE_THETA = 10000.0


def write_description(file: Path, folder: Path) -> None:
    """Configuration and tokenizer of a file into a folder; no weight is read. ModelError for what cannot be read."""
    header = _checked_header(file)
    try:
        tokenizer = tokenizer_in(header)
    except Exception as error:  # `tokenizers` has no kinds of errors
        raise ModelError(f"{file}: the GGUF file is damaged: no tokenizer comes of it ({error}).") from None
    _config(header, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_model(file: Path, folder: Path) -> None:
    """The whole model. Weights are in the file's own type where that is a float type, else in float16."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    write_description(file, folder)
    header = _checked_header(file)
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
    state = {name: torch.from_numpy(weights).to(config.dtype) for name, weights in _weights(file, header)}
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    model.generation_config = GenerationConfig.from_model_config(config)
    model.save_pretrained(folder)


def _checked_header(file: Path) -> GgufHeader:
    header = read_header(file)
    check_readable(header, str(file))
    return header


def _config(header: GgufHeader, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    values, prefix = header.values, header.architecture
    theta = float(values.get(f"{prefix}.rope.freq_base", _DEFAULT_ROPE_THETA))
    return AutoConfig.for_model(
        prefix,
        **sizes_of(values),
        architectures=[ARCHITECTURES[prefix]],
        vocab_size=len(values["tokenizer.ggml.tokens"]),
        rms_norm_eps=_as_written(values[f"{prefix}.attention.layer_norm_rms_epsilon"]),
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings=_is_tied(header),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=_dtype(header),
    )


def _as_written(value: float) -> float:
    """A float32 of the file as a person would write it: 1e-5, not 9.999999747378752e-06."""
    return float(f"{value:.7g}")


def _is_tied(header: GgufHeader) -> bool:
    return all(tensor.name != HEAD for tensor in header.tensors)


def _dtype(header: GgufHeader) -> str:
    from gguf import GGMLQuantizationType as Stored

    kinds = {tensor.type_number for tensor in header.tensors if len(tensor.shape) > 1}
    if kinds == {Stored.F32}:
        return "float32"
    return "bfloat16" if Stored.BF16 in kinds else "float16"


def _weights(file: Path, header: GgufHeader) -> "Iterator[tuple[str, np.ndarray[Any, Any]]]":
    """transformers' name and float32 values of one tensor after the other."""
    import numpy as np

    sizes = sizes_of(header.values)
    names = tensor_names(header.architecture, sizes["num_hidden_layers"], tied=_is_tied(header))
    content = np.memmap(file, mode="r", dtype=np.uint8)
    for tensor in header.tensors:
        weights = _dequantised(content, tensor, header.data_start)
        num_heads = num_turned_heads(header.architecture, tensor.name, sizes)
        yield names[tensor.name], weights if num_heads is None else neighbours_to_halves(weights, num_heads)


def _dequantised(
    content: "np.ndarray[Any, Any]", tensor: StoredTensor, data_start: int
) -> "np.ndarray[Any, np.dtype[np.float32]]":
    import numpy as np
    from gguf import GGML_QUANT_SIZES, dequantize

    kind = readable_type(tensor.type_number)
    assert kind is not None, "the header is checked"
    block, block_bytes = GGML_QUANT_SIZES[kind]
    row_bytes = tensor.shape[0] // block * block_bytes
    rows = tuple(reversed(tensor.shape[1:]))
    start = data_start + tensor.offset
    stored = content[start : start + row_bytes * int(np.prod(rows))].reshape(*rows, row_bytes)
    return np.array(dequantize(stored, kind), dtype=np.float32)
