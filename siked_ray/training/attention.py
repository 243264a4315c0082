"""Attention over packed examples: each sees itself only, and nothing is computed between examples.

Three ways, best first: FlashAttention's kernels for variable lengths where the package is there; our own function,
which runs torch's kernel for variable lengths on GPUs and one causal call per example elsewhere; for models with
windows, caps or sinks in their attention, transformers' masks, which it derives from restarting positions.

Shape suffixes: H query heads, K key heads, T tokens, D dimensions of a head.
"""

from importlib.util import find_spec
from typing import Any

PACKED = "siked_packed"
#: Settings of a model whose attention is more than causal softmax attention.
_SPECIAL = ("attn_logit_softcapping", "attention_chunk_size")


def attention_for(config: Any, *, on_gpu: bool, half_precision: bool) -> str:
    """Name under which transformers finds the attention that suits a model's configuration and device."""
    if on_gpu and half_precision and find_spec("flash_attn"):
        return "flash_attention_2"
    return PACKED if _is_plain(config.get_text_config()) else "sdpa"


def _is_plain(config: Any) -> bool:
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    special = any(getattr(config, name, None) for name in _SPECIAL)
    return not windowed and not special and layers == {"full_attention"} and config.model_type != "gpt_oss"


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
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Any, None]:
    """Causal attention within each span of `cu_seq_lens_q` ([E + 1], int32); returns [1, T, H, D]."""
    import torch

    shared = query_1HTD.shape[1] != key_1KTD.shape[1]
    if query_1HTD.is_cuda and query_1HTD.dtype in (torch.float16, torch.bfloat16) and not dropout:
        from torch.nn.attention.varlen import varlen_attn

        query, key, value = (part[0].transpose(0, 1) for part in (query_1HTD, key_1KTD, value_1KTD))
        out_THD: Any = varlen_attn(
            query, key, value, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q,
            scale=scaling, window_size=(-1, 0), enable_gqa=shared,
        )  # fmt: skip
        return out_THD[None], None
    lengths_E = cu_seq_lens_q.diff().tolist()
    # split, not slices: the gradient of a slice is a tensor of zeros as large as the whole
    spans = zip(*(part.split(lengths_E, dim=2) for part in (query_1HTD, key_1KTD, value_1KTD)), strict=True)
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=shared
        )
        for query, key, value in spans
    ]
    return torch.cat(parts, dim=2).transpose(1, 2), None
