"""Top-p without sorting the vocabulary: vLLM's own nucleus, out of the few hundred largest logits where these hold it.

Where vLLM cannot use a kernel (on CPUs) it sorts all logits of each sequence at every step, which for 49,152 tokens
takes longer than a small model's own work. Rows whose nucleus is larger, or ends where rounding could decide, are left
to vLLM. Shape suffixes: B sequences, V tokens of the vocabulary, C candidates.
"""

from functools import partial
from typing import Any, Protocol

#: Candidates that are tried, one number after the other for the rows that are still open: most nuclei are small.
_NUM_CANDIDATES = (64, 256)
#: Below this many times as many tokens a sort costs little.
_WORTH_IT = 8
#: Sums of probabilities in float32 differ by less, in whatever order they are added.
_MARGIN = 1e-4


class TopKTopP(Protocol):
    """`apply_top_k_top_p_pytorch` of vLLM: logits without those that are not to be drawn; changes them in place."""

    def __call__(self, logits: Any, k: Any, p: Any, allow_cpu_sync: bool = False) -> Any: ...


def install() -> None:
    """Have the sampler of this process, which is vLLM's own, take nuclei from here."""
    from vllm.v1.sample.ops import topk_topp_sampler

    sampler: Any = topk_topp_sampler
    sampler.apply_top_k_top_p_pytorch = partial(top_p_of_candidates, sampler.apply_top_k_top_p_pytorch)


def top_p_of_candidates(by_sorting: TopKTopP, logits_BV: Any, k: Any, p: Any, allow_cpu_sync: bool = False) -> Any:
    """As `by_sorting` does it, row by row the same; `p` is [B]."""
    if p is None or k is not None or logits_BV.shape[1] < _WORTH_IT * _NUM_CANDIDATES[-1]:
        return by_sorting(logits_BV, k, p, allow_cpu_sync)
    nuclei_BV = logits_BV
    open_rows = (p < 1).nonzero().flatten()
    for find in (*(partial(_of_candidates, count) for count in _NUM_CANDIDATES), partial(_sorted, by_sorting)):
        if len(open_rows) == len(logits_BV):
            nuclei_BV, is_clear = find(logits_BV, p)
        elif len(open_rows):
            nuclei_BV = nuclei_BV.clone() if nuclei_BV is logits_BV else nuclei_BV
            nuclei_BV[open_rows], is_clear = find(logits_BV[open_rows], p[open_rows])
        else:
            break
        open_rows = open_rows[~is_clear]
    return nuclei_BV


def _sorted(by_sorting: TopKTopP, logits_BV: Any, p: Any) -> tuple[Any, Any]:
    import torch

    return by_sorting(logits_BV.clone(), None, p), torch.ones_like(p, dtype=torch.bool)


def _of_candidates(num_candidates: int, logits_BV: Any, p: Any) -> tuple[Any, Any]:
    """Nuclei out of so many candidates, and [B] which of them are right for sure."""
    import torch

    values_BC, tokens_BC = logits_BV.topk(num_candidates, dim=-1)
    probs_BC = logits_BV.softmax(dim=-1, dtype=torch.float32).gather(1, tokens_BC)
    mass_before_BC = probs_BC.cumsum(dim=-1) - probs_BC
    is_kept_BC = mass_before_BC < p[:, None]
    nuclei_BV = torch.full_like(logits_BV, -torch.inf)
    nuclei_BV.scatter_(1, tokens_BC, values_BC.masked_fill(~is_kept_BC, -torch.inf))
    return nuclei_BV, _is_clear(values_BC, mass_before_BC, is_kept_BC, p)


def _is_clear(values_BC: Any, mass_before_BC: Any, is_kept_BC: Any, p: Any) -> Any:
    """[B]: the nucleus ends among the candidates, and neither rounding nor the order of equal logits decides where."""
    ends_B = ~is_kept_BC[:, -1]
    last_BC = is_kept_BC[:, :-1] & ~is_kept_BC[:, 1:]
    is_tie_B = (last_BC & (values_BC[:, :-1] == values_BC[:, 1:])).any(dim=-1)
    is_close_B = ((mass_before_BC - p[:, None]).abs() < _MARGIN).any(dim=-1)
    return ends_B & ~is_tie_B & ~is_close_B
