"""What drawing tokens costs: tokens/s of one vLLM engine, greedy, with the product's nucleus and with vLLM's own.

    python benchmarks/sampling.py MODEL [--sequences 128] [--tokens 48] [--repetitions 3]

MODEL is a folder or a .gguf file. All sequences run to the same number of tokens; the three ways take turns on the same
engine, and both nuclei have to give the same tokens.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from siked_ray.data.model_folder import local_model
from siked_ray.generation.engines.vllm_options import CPU_ENVIRONMENT, ENVIRONMENT, EngineOptions, engine_arguments

_PROMPT = "A farmer has {} sheep and buys {} more every day for a week. How many sheep does he have then?"
_TOP_P = 0.95
_TEMPERATURE = 0.7


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model")
    arguments.add_argument("--sequences", type=int, default=128)
    arguments.add_argument("--tokens", type=int, default=48)
    arguments.add_argument("--repetitions", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    options = arguments.parse_args()
    os.environ.update(ENVIRONMENT | CPU_ENVIRONMENT | {"OMP_NUM_THREADS": str(options.threads)})
    print(json.dumps(measure(options), indent=2))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import vllm
    from vllm.v1.sample.ops import topk_topp_sampler

    from siked_ray.generation.engines import nucleus

    engine = vllm.LLM(**engine_arguments(local_model(options.model), _engine_options(options)), seed=0)
    own = topk_topp_sampler.apply_top_k_top_p_pytorch
    nucleus.install()
    ours = topk_topp_sampler.apply_top_k_top_p_pytorch
    prompts = [_PROMPT.format(index + 2, index % 7 + 2) for index in range(options.sequences)]
    texts: dict[str, list[str]] = {}

    def generate(name: str, temperature: float, find: Any) -> float:
        topk_topp_sampler.apply_top_k_top_p_pytorch = find
        parameters = [
            vllm.SamplingParams(
                temperature=temperature, top_p=_TOP_P, seed=index, max_tokens=options.tokens, ignore_eos=True
            )
            for index in range(options.sequences)
        ]
        started = time.perf_counter()
        outputs = engine.generate(prompts, parameters, use_tqdm=False)
        seconds = time.perf_counter() - started
        texts[name] = [output.outputs[0].text for output in outputs]
        return options.sequences * options.tokens / seconds

    ways: dict[str, Callable[[], float]] = {
        "greedy": lambda: generate("greedy", 0.0, ours),
        "sampled": lambda: generate("sampled", _TEMPERATURE, ours),
        "sampled, vLLM's own nucleus": lambda: generate("own", _TEMPERATURE, own),
    }
    for way in ways.values():
        way()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repetitions):
        for name, way in ways.items():
            rates[name].append(way())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "tokens per second": {name: [round(value) for value in values] for name, values in rates.items()},
        "sampled / greedy": round(medians["sampled"] / medians["greedy"], 3),
        "sampled / vLLM's own": round(medians["sampled"] / medians["sampled, vLLM's own nucleus"], 3),
        "the same texts": texts["sampled"] == texts["own"],
    }


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    return EngineOptions(
        use_gpu=False,
        num_threads=options.threads,
        max_num_seqs=options.sequences,
        max_model_len=256,
        dtype="float32",
        kv_cache_gib=2.0,
        gpu_memory_utilization=0.9,
        tensor_parallel_size=1,
        pipeline_parallel_size=1,
        batch_invariant=False,
        trust_remote_code=False,
    )


if __name__ == "__main__":
    main()
