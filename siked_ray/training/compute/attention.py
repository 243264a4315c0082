"""Attention over packed examples: each sees itself only, and nothing is computed between examples.

Three ways, best first: FlashAttention's kernels for variable lengths where the package is there; our own function,
which runs torch's kernel for variable lengths on GPUs and one causal call per example elsewhere; for models with
windows, caps or sinks in their attention, transformers' masks, which it derives from restarting positions. Models for
which none of them keeps examples apart are refused.

Shape suffixes: H query heads, K key heads, T tokens, D dimensions of a head.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from siked_ray.errors import ModelError

PACKED = "siked_packed"
#: Layers whose tokens meet in attention alone, and there as a mask of restarting positions lets them.
_PACKABLE_LAYERS = {"full_attention", "sliding_attention"}
#: Models whose classes say of themselves what they do not do (transformers 5.19): positions do not reach the masks of
#: the first two, boundaries not the attention of the third, and the last replaces the mask by one of its own.
_MISTAKEN = ("afmoe", "gpt_oss", "nemotron", "doge")


def check_can_be_packed(config: Any, model_class: Any = None) -> None:
    """Raises ModelError when a model's packed examples would see each other, or later tokens of their own.

    `model_class` is what transformers makes of the configuration; for a model with code of its own, which it does not
    know, there is nothing to be said before the class is there.
    """
    model_class = model_class or class_of(config)
    if model_class is None:
        return
    text = config.get_text_config()
    other = sorted(set(getattr(text, "layer_types", None) or ()) - _PACKABLE_LAYERS)
    if other or model_class._is_stateful:
        why = f"not all of its layers are plain attention (there are {', '.join(other) or 'recurrent ones'})"
    elif not model_class._supports_attention_backend or text.model_type in _MISTAKEN:
        why = "its attention does not go through transformers' attention interface"
    else:
        return
    raise ModelError(
        f"A student of type {text.model_type} ({model_class.__name__}) cannot be trained here: {why}, so that examples "
        "packed into one row would leak into each other. Set student.model to one with plain attention, such as a "
        "Llama, Qwen2, Qwen3, Gemma, Mistral, Phi-3, OLMo or SmolLM model."
    )


def class_of(config: Any) -> Any:
    """The class that transformers has for a configuration; None for code of the model's own."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    return MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)


def attention_for(config: Any, *, on_gpu: bool, half_precision: bool) -> str:
    """Name under which transformers finds the attention that suits a model and device."""
    model_class, text = class_of(config), config.get_text_config()
    flash = getattr(model_class, "_supports_flash_attn", True)
    flash = flash and not getattr(model_class, "_compatible_flash_implementations", None)
    if on_gpu and half_precision and flash and find_spec("flash_attn"):
        return "flash_attention_2"
    capped = getattr(text, "attn_logit_softcapping", None)
    if capped or not getattr(model_class, "_supports_sdpa", True):
        return "eager"  # torch's kernel knows neither caps nor sinks, and would leave them out
    return PACKED if _is_plain(text) else "sdpa"


def _is_plain(config: Any) -> bool:
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    return not windowed and layers == {"full_attention"}


def can_share_prompts(config: Any) -> bool:
    """Whether several responses can see one prompt: where our own function is a model's attention. Transformers' masks
    are derived from restarting positions, and would hide the prompt from all responses but the first."""
    return attention_for(config, on_gpu=False, half_precision=False) == PACKED


def register_packed_attention() -> None:
    """Make our function known to transformers under the name PACKED."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, _no_mask)


def _no_mask(*_: Any, **__: Any) -> None:
    """The boundaries say all that a mask would."""


def packed_attention(
    module: Any,
    query_1HTD: Any,
    key_1KTD: Any,
    value_1KTD: Any,
    attention_mask: Any,
    *,
    cu_seq_lens_q: Any,
    max_length_q: int,
    cu_seq_lens_k: Any = None,
    max_length_k: int = 0,
    shared_keys: Any = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Any, None]:
    """Causal attention within each span of `cu_seq_lens_q` ([E + 1], int32); returns [1, T, H, D].

    With `shared_keys`, a span's keys are at its places among them (spans of `cu_seq_lens_k`): those of a prompt that it
    shares, then its own. Causal is then counted from the end: a span's last query sees all of its keys.
    """
    if shared_keys is None:
        cu_seq_lens_k, max_length_k = cu_seq_lens_q, max_length_q
    else:
        key_1KTD, value_1KTD = (_gathered(part, shared_keys) for part in (key_1KTD, value_1KTD))
    how = {"scale": scaling, "enable_gqa": query_1HTD.shape[1] != key_1KTD.shape[1]}
    if _suits_kernel(query_1HTD) and not dropout:
        from torch.nn.attention.varlen import varlen_attn

        query, key, value = (part[0].transpose(0, 1) for part in (query_1HTD, key_1KTD, value_1KTD))
        out_THD: Any = varlen_attn(
            query, key, value, cu_seq_lens_q, cu_seq_lens_k, max_length_q, max_length_k, window_size=(-1, 0), **how
        )
        return out_THD[None], None
    spans = _spans(query_1HTD, key_1KTD, value_1KTD, cu_seq_lens_q, cu_seq_lens_k)
    return _example_by_example(spans, max_length_k, dropout_p=dropout, **how), None


def _spans(query_1HTD: Any, key_1KSD: Any, value_1KSD: Any, cu_seq_lens_q: Any, cu_seq_lens_k: Any) -> Iterator[Any]:
    """Queries, keys and values of each example. Split, not slices: the gradient of a slice is a tensor of zeros as
    large as the whole."""
    num_queries, num_keys = cu_seq_lens_q.diff().tolist(), cu_seq_lens_k.diff().tolist()
    yield from zip(
        query_1HTD.split(num_queries, dim=2),
        key_1KSD.split(num_keys, dim=2),
        value_1KSD.split(num_keys, dim=2),
        strict=True,
    )


def _example_by_example(spans: Iterator[Any], most_keys: int, **how: Any) -> Any:
    """One causal call for each; [1, T, H, D]."""
    import torch

    visible, parts = None, []
    for query, key, value in spans:
        num_queries, num_keys = query.shape[2], key.shape[2]
        mask = None
        if num_queries < num_keys:
            if visible is None:
                visible = torch.ones(most_keys, most_keys, dtype=torch.bool, device=query.device).tril()
            mask = visible[num_keys - num_queries : num_keys, :num_keys]
        parts.append(
            torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, is_causal=mask is None, **how)
        )
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _suits_kernel(query_1HTD: Any) -> bool:
    """Whether torch's kernel for variable lengths takes it."""
    import torch

    return query_1HTD.is_cuda and query_1HTD.dtype in (torch.float16, torch.bfloat16)


def _gathered(part_1KTD: Any, places_S: Any) -> Any:
    """Keys or values at some places, [1, K, S, D]. As an embedding, whose gradient adds up in the same order each time,
    and faster than that of an index."""
    import torch

    rows_TC = part_1KTD[0].transpose(0, 1).flatten(1)
    rows_SC = torch.nn.functional.embedding(places_S, rows_TC)
    return rows_SC.unflatten(1, (part_1KTD.shape[1], -1)).transpose(0, 1)[None]
