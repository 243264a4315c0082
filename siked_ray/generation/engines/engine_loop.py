"""The process that a vLLM engine has for itself: one thread steps it, another one takes requests in.

    python -m siked_ray.generation.engines.engine_loop DESCRIPTOR

DESCRIPTOR is an end of a socket. First comes (model, EngineOptions), and the engine's name goes back once it is up;
then requests come and answers go back as samples finish. When the other end closes, for whatever reason, the process
ends at once.
"""

import os
import queue
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from siked_ray.data.payload import TopK
from siked_ray.generation.engine import EngineFailure, RequestRejected, Sample, SamplingParameters
from siked_ray.generation.engines import nucleus
from siked_ray.generation.engines.vllm_margins import OPTIONS as MARGIN_OPTIONS
from siked_ray.generation.engines.vllm_margins import margin_of_completion
from siked_ray.generation.engines.vllm_messages import (
    Answers,
    Draw,
    Failed,
    ForgetPrompt,
    LoadWeights,
    Message,
    Outcome,
    Score,
    TakePrompt,
)
from siked_ray.generation.engines.vllm_options import EngineOptions, engine_arguments
from siked_ray.startup import garbage_collector_paused


class Messages(threading.Thread):
    """Takes in what comes; it waits for the engine in `inbox`."""

    def __init__(self, channel: "Channel") -> None:
        super().__init__(name="messages", daemon=True)
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._channel = channel

    def run(self) -> None:
        """Until nobody waits for answers any more; then the whole process ends, whatever it is doing."""
        try:
            while True:
                self.inbox.put(self._channel.receive())
        except (EOFError, OSError):
            os._exit(0)


class Channel:
    """The end of the socket that two threads answer through."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.busy_s = 0.0

    def receive(self) -> Any:
        return self._connection.recv()

    def send(self, message: str | Answers | Failed) -> None:
        with self._lock:
            self._connection.send(message)

    def answer(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            self.send(Answers(self.busy_s, outcomes))


class EngineLoop:
    """Steps an engine and sends what is finished."""

    def __init__(self, model: str, options: EngineOptions, messages: Messages, channel: Channel) -> None:
        from vllm import EngineArgs, __version__
        from vllm.v1.engine.llm_engine import LLMEngine

        nucleus.install()
        self.name = f"vllm {__version__}"
        self._use_gpu = options.use_gpu
        self._engine: Any = LLMEngine.from_engine_args(EngineArgs(**engine_arguments(model, options)))
        # vLLM's tokenizer asks a thread of a pool each time.
        self._tokenizer = self._engine.get_tokenizer()
        self._eos_token_id = self._tokenizer.eos_token_id
        self._inbox = messages.inbox
        self._channel = channel
        #: Token ids by the number of their prompt.
        self._prompts: dict[int, list[int]] = {}
        #: What is scored, by the number of its request.
        self._scored: dict[int, Score] = {}
        #: What is wanted of requests beside their texts, by their numbers.
        self._wanted: dict[int, SamplingParameters] = {}

    def run(self) -> None:
        """Step for ever."""
        while True:
            self._take_in()
            started = time.perf_counter()
            outputs = self._engine.step()
            self._channel.busy_s += time.perf_counter() - started
            self._channel.answer([self._finished(output) for output in outputs if output.finished])

    def _take_in(self) -> None:
        """Move what has come into the engine; waits when there is nothing to step."""
        while True:
            try:
                message = self._inbox.get(block=not self._engine.has_unfinished_requests())
            except queue.Empty:
                return
            match message:
                case TakePrompt(prompt, token_ids):
                    self._prompts[prompt] = token_ids
                case ForgetPrompt(prompt):
                    del self._prompts[prompt]
                case (key, Draw() as draw):
                    self._add(key, draw)
                case (key, Score() as score):
                    self._score(key, score)
                case (key, LoadWeights(model)):
                    self._load_weights(key, model)

    def _add(self, key: int, draw: Draw) -> None:
        taken = self._request(key, self._prompts[draw.prompt], _sampling_params(draw.parameters, self._eos_token_id))
        if taken and (draw.parameters.with_token_ids or draw.parameters.margin):
            self._wanted[key] = draw.parameters

    def _score(self, key: int, score: Score) -> None:
        if self._request(key, score.token_ids, _scoring_params(score.top_k)):
            self._scored[key] = score

    def _request(self, key: int, token_ids: list[int], sampling: Any) -> bool:
        """Whether the engine takes it; otherwise it is answered."""
        from vllm.exceptions import VLLMClientError

        try:
            self._engine.add_request(str(key), {"prompt_token_ids": token_ids}, sampling)
        except (ValueError, VLLMClientError) as error:
            self._channel.answer([(key, RequestRejected(f"vLLM refuses the request: {error}"))])
            return False
        return True

    def _finished(self, output: Any) -> Outcome:
        key = int(output.request_id)
        if score := self._scored.pop(key, None):
            return key, _top_tokens(output.prompt_logprobs, score)
        return key, _sample(output, self._wanted.pop(key, None), self._tokenizer)

    def _load_weights(self, key: int, model: str) -> None:
        try:
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": model})
            if not self._use_gpu:
                self._engine.collective_rpc(_pack_heads)
            self._engine.reset_prefix_cache()
        except Exception as error:
            traceback.print_exc()
            self._channel.answer([(key, EngineFailure(f"The weights of {model} cannot be loaded: {error!r}"))])
        else:
            self._channel.answer([(key, None)])


def main(descriptor: int) -> None:
    """Serve the other end of the socket."""
    channel = Channel(Connection(descriptor))
    model, options = channel.receive()
    messages = Messages(channel)
    messages.start()
    try:
        with garbage_collector_paused():  # vLLM collects itself where it measures memory
            loop = EngineLoop(model, options, messages, channel)
        channel.send(loop.name)
        loop.run()
    except BaseException as error:
        traceback.print_exc()
        channel.send(Failed("".join(traceback.format_exception_only(error)).strip()))
    finally:
        os._exit(1)  # whatever vLLM's threads are doing


def _pack_heads(worker: Any) -> None:
    """Pack the head's weights again. vLLM's CPU build multiplies by a packed copy, and a reload (0.32) leaves that of a
    head that is tied to the embeddings as it was: files have no weights of its own."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for module in worker.model_runner.model.modules():
        if isinstance(module, ParallelLMHead):
            module.quant_method.process_weights_after_loading(module)


def _sampling_params(parameters: SamplingParameters, eos_token_id: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        seed=parameters.seed if parameters.temperature > 0 else None,
        max_tokens=parameters.max_new_tokens,
        stop=list(parameters.stop) or None,
        stop_token_ids=[eos_token_id],
        output_kind=RequestOutputKind.FINAL_ONLY,
        **(MARGIN_OPTIONS if parameters.margin else {}),
    )


def _scoring_params(top_k: int) -> Any:
    """One token is generated, as there has to be one."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0,
        max_tokens=1,
        prompt_logprobs=top_k,
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _top_tokens(flat: Any, score: Score) -> TopK:
    """Out of vLLM's `FlatLogprobs`: for each place but the very first one, its own token and then the top k."""
    import numpy as np

    shape = (len(score.token_ids) - 1, score.top_k + 1)
    token_ids = np.array(flat.token_ids, dtype=np.int32).reshape(shape)
    log_probs = np.array(flat.logprobs, dtype=np.float64).reshape(shape)
    return TopK.of(token_ids[score.first - 1 :, 1:], log_probs[score.first - 1 :, 1:])


def _sample(output: Any, wanted: SamplingParameters | None, tokenizer: Any) -> Sample:
    sample = output.outputs[0]
    margin = wanted.margin if wanted else None
    return Sample(
        text=sample.text,
        num_prompt_tokens=len(output.prompt_token_ids),
        num_tokens=len(sample.token_ids),
        finished=sample.finish_reason != "length",
        token_ids=tuple(sample.token_ids) if wanted and wanted.with_token_ids else (),
        margin=margin_of_completion(margin, sample, tokenizer) if margin else None,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
