"""The nucleus out of the largest logits is the one that vLLM finds by sorting all of them."""

import pytest
import torch

from siked_ray.generation.engines.nucleus import top_p_of_candidates

pytestmark = pytest.mark.engines
VOCABULARY = 49_152


def by_sorting(logits, k, p, allow_cpu_sync=False):
    from vllm.v1.sample.ops import topk_topp_sampler

    return topk_topp_sampler.apply_top_k_top_p_pytorch(logits.clone(), k, p, allow_cpu_sync)


def logits_of(temperatures: list[float]) -> torch.Tensor:
    """Peaked to flat; as many rows as temperatures."""
    drawn = torch.randn(len(temperatures), VOCABULARY, generator=torch.Generator().manual_seed(3)) * 3
    return drawn / torch.tensor(temperatures)[:, None]


def never(logits, k, p, allow_cpu_sync=False):
    raise AssertionError("sorted")


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.95, 0.999, 1.0])
def test_the_same_tokens_are_left_with_the_same_logits(p: float):
    logits = logits_of([0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0])
    ps = torch.full((len(logits),), p)
    found = top_p_of_candidates(by_sorting, logits.clone(), None, ps)
    if p < 1:
        assert torch.equal(found, by_sorting(logits, None, ps))
    else:
        assert torch.equal(found, logits)


def test_each_row_has_its_own_p():
    logits = logits_of([0.2] * 4)
    ps = torch.tensor([0.3, 0.9, 1.0, 0.99])
    found, sorted_ones = top_p_of_candidates(by_sorting, logits.clone(), None, ps), by_sorting(logits, None, ps)
    assert torch.equal(found[[0, 1, 3]], sorted_ones[[0, 1, 3]]) and torch.equal(found[2], logits[2])


def test_peaked_rows_are_not_sorted():
    found = top_p_of_candidates(never, logits_of([0.1, 0.1]), None, torch.tensor([0.9, 0.95]))
    assert found.isfinite().any(dim=-1).all() and found.isfinite().sum() < 512


@pytest.mark.parametrize("temperatures", [[0.1] * 3, [0.1, 0.65, 1.0, 0.1], [0.65] * 3])
def test_rows_are_settled_by_few_candidates_by_many_or_by_sorting(temperatures: list[float]):
    """All rows alike, or one of each kind beside a row that keeps all."""
    logits = logits_of(temperatures)
    ps = torch.full((len(logits),), 0.95)
    ps[-1] = 1.0 if len(set(temperatures)) > 1 else 0.95
    before = logits.clone()
    found = top_p_of_candidates(by_sorting, logits, None, ps)
    few = ps < 1
    assert torch.equal(found[few], by_sorting(before, None, ps)[few]) and torch.equal(found[~few], before[~few])


def test_a_flat_row_is_sorted():
    with pytest.raises(AssertionError, match="sorted"):
        top_p_of_candidates(never, logits_of([0.1, 9.0]), None, torch.tensor([0.9, 0.9]))


def test_equal_logits_at_the_edge_are_left_to_vllm():
    logits = torch.full((1, VOCABULARY), -30.0)
    logits[0, 1000:1010] = 5.0
    ps = torch.tensor([0.55])
    assert torch.equal(top_p_of_candidates(by_sorting, logits.clone(), None, ps), by_sorting(logits, None, ps))
    with pytest.raises(AssertionError, match="sorted"):
        top_p_of_candidates(never, logits, None, ps)


def test_a_small_vocabulary_and_top_k_are_left_to_vllm():
    few = logits_of([0.1])[:, :500]
    for logits, k in ((few, None), (logits_of([0.1]), torch.tensor([5]))):
        with pytest.raises(AssertionError, match="sorted"):
            top_p_of_candidates(never, logits, k, torch.tensor([0.9]))
