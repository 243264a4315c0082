"""The process that a vLLM engine has for itself: one thread steps it, another one takes requests in.

    python -m siked_ray.generation.vllm_process DESCRIPTOR

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

from siked_ray.data.encoding import encode_forced
from siked_ray.generation.engine import EngineFailure, RequestRejected, Sample, SamplingParameters
from siked_ray.generation.vllm_messages import Answers, Draw, Encode, Failed, LoadWeights, Outcome
from siked_ray.generation.vllm_options import EngineOptions, engine_arguments
from siked_ray.startup import garbage_collector_paused


class Requests(threading.Thread):
    """Takes requests in: prompts are encoded at once, the rest waits for the engine in `inbox`."""

    def __init__(self, channel: "Channel") -> None:
        super().__init__(name="requests", daemon=True)
        self.inbox: queue.SimpleQueue[tuple[int, Draw | LoadWeights]] = queue.SimpleQueue()
        #: There once the engine is up; nothing is asked before.
        self.tokenizer: Any = None
        self._channel = channel

    def run(self) -> None:
        """Until nobody waits for answers any more; then the whole process ends, whatever it is doing."""
        try:
            while True:
                key, task = self._channel.receive()
                if isinstance(task, Encode):
                    self._channel.answer([(key, self._encoded(task))])
                else:
                    self.inbox.put((key, task))
        except (EOFError, OSError):
            os._exit(0)

    def _encoded(self, task: Encode) -> list[int] | RequestRejected:
        try:
            return encode_forced(self.tokenizer, task.prompt, task.forced)
        except Exception as error:  # whatever a tokenizer or a chat template raises
            return RequestRejected(f"The prompt cannot be tokenised: {error!r}")


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

    def __init__(self, model: str, options: EngineOptions, requests: Requests, channel: Channel) -> None:
        from vllm import EngineArgs, __version__
        from vllm.v1.engine.llm_engine import LLMEngine

        self.name = f"vllm {__version__}"
        self._engine: Any = LLMEngine.from_engine_args(EngineArgs(**engine_arguments(model, options)))
        requests.tokenizer = self._engine.get_tokenizer()
        # vLLM's tokenizer asks a thread of a pool each time.
        self._eos_token_id = requests.tokenizer.eos_token_id
        self._inbox = requests.inbox
        self._channel = channel

    def run(self) -> None:
        """Step for ever."""
        while True:
            self._take_in()
            started = time.perf_counter()
            outputs = self._engine.step()
            self._channel.busy_s += time.perf_counter() - started
            self._channel.answer([_finished(output) for output in outputs if output.finished])

    def _take_in(self) -> None:
        """Move what has come into the engine; waits when there is nothing to step."""
        while True:
            try:
                key, task = self._inbox.get(block=not self._engine.has_unfinished_requests())
            except queue.Empty:
                return
            if isinstance(task, Draw):
                self._add(key, task)
            else:
                self._load_weights(key, task.model)

    def _add(self, key: int, draw: Draw) -> None:
        from vllm.exceptions import VLLMClientError

        sampling = _sampling_params(draw.parameters, self._eos_token_id)
        try:
            self._engine.add_request(str(key), {"prompt_token_ids": draw.prompt_token_ids}, sampling)
        except (ValueError, VLLMClientError) as error:
            self._channel.answer([(key, RequestRejected(f"vLLM refuses the request: {error}"))])

    def _load_weights(self, key: int, model: str) -> None:
        try:
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": model})
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
    requests = Requests(channel)
    requests.start()
    try:
        with garbage_collector_paused():  # vLLM collects itself where it measures memory
            loop = EngineLoop(model, options, requests, channel)
        channel.send(loop.name)
        loop.run()
    except BaseException as error:
        traceback.print_exc()
        channel.send(Failed("".join(traceback.format_exception_only(error)).strip()))
    finally:
        os._exit(1)  # whatever vLLM's threads are doing


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
    )


def _finished(output: Any) -> Outcome:
    sample = output.outputs[0]
    return int(output.request_id), Sample(
        text=sample.text,
        num_prompt_tokens=len(output.prompt_token_ids),
        num_tokens=len(sample.token_ids),
        finished=sample.finish_reason != "length",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
