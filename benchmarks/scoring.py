"""How fast an engine scores given texts, against its prefill of the same texts without log-probabilities.

    python benchmarks/scoring.py MODEL [--texts 96] [--top-k 16] [--repetitions 3] [--dtype bfloat16]

MODEL is a folder or a .gguf file. The texts are GSM8K's questions and solutions, each behind a number of its own, so
that the engine knows no prefix of it; a text that is only prefilled gets one greedy token. One engine, the two ways in
turns; the target is 0.6 of the tokens/s at 16 tokens a place.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.training_data import rows
from siked_ray.data.encoding import load_tokenizer
from siked_ray.data.model_folder import local_model
from siked_ray.generation.engine import Prompt, SamplingParameters
from siked_ray.generation.engines.vllm_engine import VllmEngine
from siked_ray.generation.engines.vllm_options import EngineOptions

_ONE_TOKEN = SamplingParameters(seed=0, temperature=0, top_p=1, max_new_tokens=1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model")
    arguments.add_argument("--texts", type=int, default=96)
    arguments.add_argument("--top-k", type=int, default=16)
    arguments.add_argument("--repetitions", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--dtype", default="auto", help="of the engine's weights; float16 is slow on CPUs")
    options = arguments.parse_args()
    print(json.dumps(measure(options), indent=2))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Tokens per second of each way, and the ratio of their medians."""
    model = local_model(options.model)
    texts = _texts(model, options.texts * (2 * options.repetitions + 1))
    engine = VllmEngine(model, _engine_options(options))
    turns = [texts[i :: 2 * options.repetitions + 1] for i in range(2 * options.repetitions + 1)]

    def score(one: list[int]) -> Any:
        return engine.score(one, 1, options.top_k)

    def prefill(one: list[int]) -> Any:
        return engine.submit(Prompt(text="", token_ids=one), _ONE_TOKEN)

    rates: dict[str, list[float]] = {"scored": [], "prefilled": []}
    try:
        _rate(turns.pop()[:8], score)  # warm
        while turns:
            rates["scored"].append(_rate(turns.pop(), score))
            rates["prefilled"].append(_rate(turns.pop(), prefill))
    finally:
        engine.close()
    medians = {way: statistics.median(values) for way, values in rates.items()}
    return {"tokens/s": rates, "ratio": medians["scored"] / medians["prefilled"]}


def _rate(texts: Sequence[list[int]], ask: Callable[[list[int]], Any]) -> float:
    started = time.perf_counter()
    for future in [ask(text) for text in texts]:
        future.result()
    return sum(map(len, texts)) / (time.perf_counter() - started)


def _texts(model: str, number: int) -> list[list[int]]:
    """Different from their first token on, and of GSM8K's lengths."""
    tokenizer = load_tokenizer(model)
    return [
        tokenizer(f"{i}. {row['prompt']}{row['response']}")["input_ids"][:500] for i, row in enumerate(rows(number))
    ]


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    return EngineOptions(
        use_gpu=False,
        num_threads=options.threads,
        max_num_seqs=64,
        max_model_len=512,
        dtype=options.dtype,
        kv_cache_gib=2.0,
        gpu_memory_utilization=0.0,
        tensor_parallel_size=1,
        pipeline_parallel_size=1,
        batch_invariant=False,
        trust_remote_code=False,
        top_k=options.top_k,
    )


if __name__ == "__main__":
    main()
