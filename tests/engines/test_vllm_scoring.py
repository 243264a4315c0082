"""vLLM's log-probabilities of given text are those of the model itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from siked_ray.generation.engine import RequestRejected, SamplingParameters
from siked_ray.generation.engines.vllm_engine import VllmEngine
from tests.engines.test_vllm_process import OPTIONS, encoded

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(300)]


def test_it_scores_texts_beside_sampling(tiny_model: str):
    engine = VllmEngine(tiny_model, replace(OPTIONS, top_k=24))
    try:
        random = np.random.default_rng(0)
        texts = [random.integers(2, 320, size).tolist() for size in (9, 40, 100)]
        futures = [engine.score(text, 5, 24) for text in texts]
        sample = engine.submit(
            encoded(tiny_model, "What is 3?"), SamplingParameters(seed=1, temperature=0, top_p=1, max_new_tokens=4)
        )
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        for text, future in zip(texts, futures, strict=True):
            found = future.result()
            with torch.no_grad():
                expected = model(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)[4:-1]
            top, ids = expected.topk(24)
            assert found.token_ids_RK.shape == (len(text) - 5, 24)
            assert (found.token_ids_RK == ids.numpy()).mean() > 0.99, "but for ties"
            assert np.abs(found.log_probs_RK - top.numpy()).max() < 0.01, "float16"
            tail = (1 - top.double().exp().sum(-1)).log().numpy()
            assert np.abs(found.log_tail_R - tail).max() < 0.01
        assert sample.result().num_tokens == 4
        with pytest.raises(RequestRejected):
            engine.score([5] * 300, 5, 24).result()
    finally:
        engine.close()
