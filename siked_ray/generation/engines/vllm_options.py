"""How vLLM is started: what it reads from the environment, and its arguments."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_ray.data.processor import bfloat16_units

#: Read by vLLM at import. One OpenMP thread unless told otherwise, and no binding: two engines otherwise share one
#: core, 7x slower.
CPU_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
#: vLLM's own process per engine sends every token to the one that asked; ours sends finished samples only.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TOKENIZERS_PARALLELISM": "false",
}
_MIN_BATCHED_TOKENS_ON_CPU = 4096
#: Log-probabilities of prompts are made of all logits of a step's tokens, in float32: 1.2 GB of 150,000 entries.
_SCORED_TOKENS_ON_GPU = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How an engine is started. `use_gpu` False is vLLM's CPU build, with `num_threads` for a step.
    `gpu_memory_utilization` is of a whole GPU. With a `top_k` it scores texts, and is asked for so many tokens of each
    place."""

    use_gpu: bool
    num_threads: int
    max_num_seqs: int
    max_model_len: int
    dtype: str
    kv_cache_gib: float
    gpu_memory_utilization: float
    tensor_parallel_size: int
    pipeline_parallel_size: int
    batch_invariant: bool
    trust_remote_code: bool
    top_k: int = 0

    def environment(self) -> dict[str, str]:
        """Variables that have to be set before vLLM is imported."""
        if not self.use_gpu:
            return ENVIRONMENT | CPU_ENVIRONMENT | {"OMP_NUM_THREADS": str(self.num_threads)}
        return ENVIRONMENT | ({"VLLM_BATCH_INVARIANT": "1"} if self.batch_invariant else {})


def engine_arguments(model: str, options: EngineOptions) -> dict[str, Any]:
    """Arguments of vLLM's EngineArgs."""
    arguments: dict[str, Any] = {
        "model": model,
        "dtype": _dtype(model, options),
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.max_num_seqs,
        "trust_remote_code": options.trust_remote_code,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        **({"max_logprobs": options.top_k} if options.top_k else {}),
    }
    if options.use_gpu:
        return arguments | {
            "gpu_memory_utilization": options.gpu_memory_utilization,
            "tensor_parallel_size": options.tensor_parallel_size,
            "pipeline_parallel_size": options.pipeline_parallel_size,
            # One process per GPU on the actor's own node; one GPU needs no further process.
            "distributed_executor_backend": "mp" if _num_gpus(options) > 1 else "uni",
            **({"max_num_batched_tokens": _SCORED_TOKENS_ON_GPU} if options.top_k else {}),
        }
    # Seeded sampling cannot rewind a CPU generator, which a prompt prefilled in chunks would need.
    return arguments | {
        # VLLM_CPU_KVCACHE_SPACE, the older way, knows whole GiB only.
        "kv_cache_memory_bytes": int(options.kv_cache_gib * 2**30),
        "enforce_eager": True,
        "distributed_executor_backend": "uni",
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(_MIN_BATCHED_TOKENS_ON_CPU, options.max_model_len),
    }


def _dtype(model: str, options: EngineOptions) -> str:
    """On processors without instructions for bfloat16, which vLLM takes on CPUs, products of it take minutes. Of
    float16, which it keeps where weights have it, oneDNN has none there: a tenth of the speed (docs/log.md)."""
    if options.dtype != "auto" or options.use_gpu:
        return options.dtype
    if not bfloat16_units():
        return "float32"
    return "bfloat16" if _has_float16(model) else "auto"


def _has_float16(model: str) -> bool:
    """Whether a model directory says so of its weights; a Hub name says nothing here."""
    config = Path(model) / "config.json"
    said = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return "float16" in (said.get("dtype"), said.get("torch_dtype"))


def _num_gpus(options: EngineOptions) -> int:
    return options.tensor_parallel_size * options.pipeline_parallel_size
