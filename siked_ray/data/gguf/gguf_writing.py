"""A model directory becomes a GGUF file, as llama.cpp's own converter would write it."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.gguf.gguf_layout import (
    ARCHITECTURES,
    SIZES,
    halves_to_neighbours,
    num_turned_heads,
    tensor_names,
)
from siked_ray.data.gguf.gguf_vocabulary import Vocabulary, vocabulary_of
from siked_ray.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter

#: How matrices can be stored; vectors are always float32.
TYPES = ("f16", "q8_0")


def write_gguf(folder: str, output: Path, matrix_type: str) -> None:
    """Write the model of a directory or Hub name into one file, whole or not at all.

    Raises ModelError for a model that llama.cpp would read as another one, OSError where `output` cannot be written.
    """
    from transformers import AutoModelForCausalLM

    config = _config_of(folder)
    problem = next(_problems(config), None)
    if problem:
        raise ModelError(f"{folder} cannot become a GGUF file: {problem}.")
    vocabulary = vocabulary_of(load_tokenizer(folder), config.vocab_size, shown=folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    beside = output.with_name(f".{output.name}.part")
    try:
        _write(beside, config, vocabulary, model.state_dict(), matrix_type, name=Path(folder).name)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)


def _config_of(folder: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder} is no model directory, and no model that the Hub gives: {reason}") from None


def _problems(config: Any) -> Iterator[str]:
    if config.model_type not in ARCHITECTURES:
        yield f"its architecture is {config.model_type}, and those of {' and '.join(ARCHITECTURES)} are written"
    if (config.rope_parameters or {}).get("rope_type", "default") != "default":
        yield f"its positions are scaled ({config.rope_parameters['rope_type']}), which is not written"
    for name in ("attention_bias", "mlp_bias", "use_sliding_window"):
        if getattr(config, name, False):
            yield f"its configuration has {name}, which llama.cpp's {config.model_type} has not"
    if config.hidden_act != "silu":
        yield f"its layers use {config.hidden_act}, and llama.cpp's {config.model_type} uses silu"


def _write(
    path: Path, config: Any, vocabulary: Vocabulary, state: Mapping[str, Any], matrix_type: str, *, name: str
) -> None:
    """Header first, then one tensor after the other, so that no second copy of the model is in memory."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, config.model_type)
    names = tensor_names(config.model_type, config.num_hidden_layers, tied=config.tie_word_embeddings)
    types = {ours: _stored_as(state[theirs], matrix_type) for ours, theirs in names.items()}
    _add_values(writer, config, matrix_type, name)
    vocabulary.add_to(writer)
    try:
        for ours, theirs in names.items():
            _add_tensor_info(writer, ours, tuple(state[theirs].shape), types[ours])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for ours, theirs in names.items():
            writer.write_tensor_data(_quantised(_weights(state[theirs], ours, config), types[ours], ours))
    finally:
        writer.close()


def _add_values(writer: "GGUFWriter", config: Any, matrix_type: str, name: str) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    writer.add_type("model")
    writer.add_name(name)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_file_type(LlamaFileType.MOSTLY_F16 if matrix_type == "f16" else LlamaFileType.MOSTLY_Q8_0)
    for key, theirs in SIZES.items():
        writer.add_uint32(f"{config.model_type}.{key}", getattr(config, theirs))
    head_dim = _head_dim(config)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _head_dim(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _stored_as(tensor: Any, matrix_type: str) -> "GGMLQuantizationType":
    """Rows that are no multiple of a block of 32 stay in float16."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if tensor.dim() == 1:
        return GGMLQuantizationType.F32
    q8 = GGMLQuantizationType.Q8_0
    fits = tensor.shape[-1] % GGML_QUANT_SIZES[q8][0] == 0
    return q8 if matrix_type == "q8_0" and fits else GGMLQuantizationType.F16


def _add_tensor_info(writer: "GGUFWriter", name: str, shape: tuple[int, ...], kind: "GGMLQuantizationType") -> None:
    import numpy as np
    from gguf import GGML_QUANT_SIZES

    block, block_bytes = GGML_QUANT_SIZES[kind]
    num_bytes = math.prod(shape) // block * block_bytes
    writer.add_tensor_info(name, shape, np.dtype(np.float32), num_bytes, raw_dtype=kind)


def _weights(tensor: Any, name: str, config: Any) -> "np.ndarray[Any, Any]":
    """Float32 values in the file's order."""
    weights = tensor.detach().float().cpu().numpy()
    sizes = {"num_attention_heads": config.num_attention_heads, "num_key_value_heads": config.num_key_value_heads}
    num_heads = num_turned_heads(config.model_type, name, sizes)
    return weights if num_heads is None else halves_to_neighbours(weights, num_heads)


def _quantised(weights: "np.ndarray[Any, Any]", kind: "GGMLQuantizationType", name: str) -> "np.ndarray[Any, Any]":
    import numpy as np
    from gguf import quantize

    with np.errstate(over="ignore"):
        stored = quantize(np.ascontiguousarray(weights), kind)
    if stored.dtype == np.float16 and not np.isfinite(stored).all():
        raise ModelError(f"{name} holds weights beyond what 16 bits can hold; take --type q8_0.")
    return stored
