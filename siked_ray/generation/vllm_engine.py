"""vLLM behind a thread-safe `submit`: one thread steps the engine, many rows are in flight.

A barrier at the end of each batch is what costs throughput, so requests join and leave the running batch one
by one. The engine runs in this process (start-up 14 s against 46 s with vLLM's own worker processes on CPUs).
"""

import os
import queue
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from siked_ray.data.encoding import encode_prompt, encode_text
from siked_ray.generation.engine import EncodedPrompt, EngineFailure, RequestRejected, Sample, SamplingParameters

#: Read by vLLM at import. One OpenMP thread unless told otherwise, and no binding: two engines otherwise share one
#: core, 7x slower.
CPU_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TOKENIZERS_PARALLELISM": "false",
}
_MIN_BATCHED_TOKENS_ON_CPU = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How an engine is started. `use_gpu` False is vLLM's CPU build, with `num_threads` for a step.
    `gpu_memory_utilization` is of a whole GPU."""

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

    def environment(self) -> dict[str, str]:
        """Variables that have to be set before vLLM is imported."""
        if not self.use_gpu:
            return ENVIRONMENT | CPU_ENVIRONMENT | {"OMP_NUM_THREADS": str(self.num_threads)}
        return ENVIRONMENT | ({"VLLM_BATCH_INVARIANT": "1"} if self.batch_invariant else {})


class VllmEngine:
    """A living vLLM engine behind `siked_ray.generation.engine.Engine`."""

    def __init__(self, model: str, options: EngineOptions) -> None:
        os.environ.update(options.environment())
        from vllm import EngineArgs, __version__
        from vllm.v1.engine.llm_engine import LLMEngine

        self._engine: Any = LLMEngine.from_engine_args(EngineArgs(**engine_arguments(model, options)))
        self.name = f"vllm {__version__}"
        self.max_model_len: int | None = options.max_model_len
        self.tokenizer = self._engine.get_tokenizer()
        # vLLM's tokenizer asks a thread of a pool each time.
        self._eos_token_id = self.tokenizer.eos_token_id
        self.busy_s = 0.0
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pending: dict[str, Future[Sample]] = {}
        self._num_submitted = 0
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="vllm-steps", daemon=True)
        self._thread.start()

    def encode(self, prompt: str, forced: str) -> EncodedPrompt:
        """Through the model's chat template where it has one; `forced` is tokenised as a piece of its own."""
        token_ids = encode_prompt(self.tokenizer, prompt)
        if forced:
            token_ids = token_ids + encode_text(self.tokenizer, forced)
        return EncodedPrompt(text=prompt + forced, token_ids=token_ids)

    def submit(self, prompt: EncodedPrompt, parameters: SamplingParameters) -> Future[Sample]:
        """Queue one completion."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if self._failure is not None:
            raise EngineFailure(f"The engine has stopped: {self._failure!r}")
        sampling = SamplingParams(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            seed=parameters.seed if parameters.temperature > 0 else None,
            max_tokens=parameters.max_new_tokens,
            stop=list(parameters.stop) or None,
            stop_token_ids=[self._eos_token_id],
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        future: Future[Sample] = Future()
        self._inbox.put((prompt.token_ids, sampling, future))
        return future

    def load_weights(self, model: str) -> None:
        """Replace the weights in place (0.05 s here); the architecture has to be the same. Engine must be idle."""
        done: Future[None] = Future()
        self._inbox.put((model, None, done))
        done.result()

    def close(self) -> None:
        """Stop stepping; what is in flight fails."""
        self._inbox.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        try:
            while self._take_in():
                if self._engine.has_unfinished_requests():
                    started = time.perf_counter()
                    outputs = self._engine.step()
                    self.busy_s += time.perf_counter() - started
                    self._hand_out(outputs)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Fail what is in flight, and from now on whatever comes."""
        traceback.print_exc()
        self._failure = error
        failure = EngineFailure(f"The engine failed while decoding: {error!r}")
        for future in self._pending.values():
            future.set_exception(failure)
        while (item := self._inbox.get()) is not None:
            item[-1].set_exception(failure)

    def _take_in(self) -> bool:
        """Move what is queued into the engine; waits when there is nothing to step. False when closed."""
        while True:
            try:
                item = self._inbox.get(block=not self._engine.has_unfinished_requests())
            except queue.Empty:
                return True
            if item is None:
                return False
            subject, parameters, future = item
            if parameters is None:
                self._reload(subject, future)
            else:
                self._add(subject, parameters, future)

    def _add(self, prompt_token_ids: list[int], parameters: Any, future: Future[Sample]) -> None:
        key = str(self._num_submitted)
        self._num_submitted += 1
        try:
            self._engine.add_request(key, {"prompt_token_ids": prompt_token_ids}, parameters)
        except ValueError as error:
            future.set_exception(RequestRejected(f"vLLM refuses the request: {error}"))
        else:
            self._pending[key] = future

    def _reload(self, model: str, done: Future[None]) -> None:
        try:
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": model})
            self._engine.reset_prefix_cache()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _hand_out(self, outputs: Sequence[Any]) -> None:
        for output in outputs:
            if output.finished:
                sample = output.outputs[0]
                self._pending.pop(output.request_id).set_result(
                    Sample(
                        text=sample.text,
                        num_prompt_tokens=len(output.prompt_token_ids),
                        num_tokens=len(sample.token_ids),
                        finished=sample.finish_reason != "length",
                    )
                )


def engine_arguments(model: str, options: EngineOptions) -> dict[str, Any]:
    """Arguments of vLLM's EngineArgs."""
    arguments: dict[str, Any] = {
        "model": model,
        "dtype": options.dtype,
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.max_num_seqs,
        "trust_remote_code": options.trust_remote_code,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
    }
    if options.use_gpu:
        return arguments | {
            "gpu_memory_utilization": options.gpu_memory_utilization,
            "tensor_parallel_size": options.tensor_parallel_size,
            "pipeline_parallel_size": options.pipeline_parallel_size,
            # One process per GPU on the actor's own node; one GPU needs no further process.
            "distributed_executor_backend": "mp" if _num_gpus(options) > 1 else "uni",
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


def _num_gpus(options: EngineOptions) -> int:
    return options.tensor_parallel_size * options.pipeline_parallel_size
