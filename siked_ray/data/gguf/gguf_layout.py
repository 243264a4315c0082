"""What a model of each architecture holds in a GGUF file, and what the same is called in transformers.

llama.cpp turns neighbouring dimensions of a head where transformers turns the two halves of it against each other, so
the rows of Llama's queries and keys lie in another order in a file; Qwen2's do not.
"""

from collections.abc import Mapping
from typing import Any

#: Architectures that are read and written, and transformers' class of each. SmolLM and Mistral are stored as `llama`.
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
#: Sizes that a file has to say, and transformers' names of them.
SIZES = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "context_length": "max_position_embeddings",
}
_OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
#: Missing where the embedding is the head too.
HEAD, _HEADS_NAME = "output.weight", "lm_head.weight"
_OF_A_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
_QWEN2_BIASES = {f"attn_{one}.bias": f"self_attn.{one}_proj.bias" for one in "qkv"}


def tensor_names(architecture: str, num_layers: int, *, tied: bool) -> dict[str, str]:
    """transformers' name of every tensor of a file."""
    of_a_layer = _OF_A_LAYER | (_QWEN2_BIASES if architecture == "qwen2" else {})
    names = dict(_OUTSIDE) if tied else _OUTSIDE | {HEAD: _HEADS_NAME}
    for layer in range(num_layers):
        names |= {f"blk.{layer}.{name}": f"model.layers.{layer}.{other}" for name, other in of_a_layer.items()}
    return names


def sizes_of(values: Mapping[str, Any]) -> dict[str, int]:
    """Sizes by transformers' names, out of a file's values. KeyError for one that it does not say."""
    prefix = values["general.architecture"]
    sizes = {other: int(values[f"{prefix}.{name}"]) for name, other in SIZES.items()}
    heads = sizes["num_attention_heads"]
    sizes["num_key_value_heads"] = int(values.get(f"{prefix}.attention.head_count_kv", heads))
    sizes["head_dim"] = int(values.get(f"{prefix}.attention.key_length", sizes["hidden_size"] // heads))
    return sizes


def tensor_shapes(sizes: Mapping[str, int], vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes in the file's order, the input first, by the tensor's name without its layer."""
    hidden, inner = sizes["hidden_size"], sizes["intermediate_size"]
    queries = sizes["num_attention_heads"] * sizes["head_dim"]
    keys = sizes["num_key_value_heads"] * sizes["head_dim"]
    norms = dict.fromkeys(("output_norm.weight", "attn_norm.weight", "ffn_norm.weight"), (hidden,))
    return norms | {
        "token_embd.weight": (hidden, vocab_size),
        HEAD: (hidden, vocab_size),
        "attn_q.weight": (hidden, queries),
        "attn_k.weight": (hidden, keys),
        "attn_v.weight": (hidden, keys),
        "attn_output.weight": (queries, hidden),
        "ffn_gate.weight": (hidden, inner),
        "ffn_up.weight": (hidden, inner),
        "ffn_down.weight": (inner, hidden),
        "attn_q.bias": (queries,),
        "attn_k.bias": (keys,),
        "attn_v.bias": (keys,),
    }


def without_layer(name: str) -> str:
    """`attn_q.weight` for `blk.7.attn_q.weight`."""
    return name.split(".", 2)[2] if name.startswith("blk.") else name


def num_turned_heads(architecture: str, name: str, sizes: Mapping[str, int]) -> int | None:
    """Heads whose rows lie in another order in the file; None for tensors that are the same in both."""
    turned = {"attn_q.weight": "num_attention_heads", "attn_k.weight": "num_key_value_heads"}
    key = turned.get(without_layer(name)) if architecture == "llama" else None
    return sizes[key] if key else None


def neighbours_to_halves(weights: Any, num_heads: int) -> Any:
    """Rows from llama.cpp's order into transformers'; numpy arrays and tensors."""
    pairs = weights.reshape(num_heads, weights.shape[0] // num_heads // 2, 2, *weights.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


def halves_to_neighbours(weights: Any, num_heads: int) -> Any:
    """Rows from transformers' order into llama.cpp's; numpy arrays and tensors."""
    halves = weights.reshape(num_heads, 2, weights.shape[0] // num_heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)
