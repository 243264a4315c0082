"""vLLM behind a thread-safe `submit`, in a process of its own: many rows are in flight.

A barrier at the end of each batch is what costs throughput, so requests join and leave the running batch one by one.
Every thread of an interpreter that wakes up while its model decodes takes the interpreter's lock from it, and a
Ray actor has dozens of them. So the actor's process draws, judges and writes, and the other one does nothing but
decode.
"""

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from siked_ray.data.payload import TopK
from siked_ray.generation.engine import EngineFailure, Prompt, Sample, SamplingParameters
from siked_ray.generation.engines import engine_loop as vllm_process
from siked_ray.generation.engines.vllm_messages import (
    Answers,
    Draw,
    Failed,
    ForgetPrompt,
    LoadWeights,
    Message,
    Score,
    TakePrompt,
)
from siked_ray.generation.engines.vllm_options import EngineOptions

_EXIT_TIMEOUT_S = 30.0
#: A process may be killed from outside while it opens, as when memory is short.
_MAX_STARTS = 3


class VllmEngine:
    """A living vLLM engine behind `siked_ray.generation.engine.Engine`."""

    def __init__(self, model: str, options: EngineOptions) -> None:
        """Raises EngineFailure, with vLLM's reason, when it cannot be opened."""
        self.max_model_len: int | None = options.max_model_len
        self.busy_s = 0.0
        self._process, self.name = _opened(model, options)
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Any]] = {}
        self._num_requests = 0
        #: Prompts that vLLM's process has, with their numbers there.
        self._taken: dict[Prompt, int] = {}
        self._num_prompts = 0
        self._failure: str | None = None
        threading.Thread(target=self._receive, name="answers", daemon=True).start()

    def submit(self, prompt: Prompt, parameters: SamplingParameters) -> Future[Sample]:
        """Queue one completion. Token ids go to vLLM's process with the first one of a prompt."""
        return self._ask(Draw(self._number_of(prompt), parameters))

    def score(self, token_ids: list[int], first: int, top_k: int) -> Future[TopK]:
        """Queue a text whose tokens from place `first` on are scored; the engine has to be opened with that `top_k`."""
        return self._ask(Score(token_ids, first, top_k))

    def forget(self, prompt: Prompt) -> None:
        """Nothing more will be submitted for a prompt."""
        with self._lock:
            if (number := self._taken.pop(prompt, None)) is not None:
                self._send(ForgetPrompt(number))

    def load_weights(self, model: str) -> None:
        """Replace the weights in place (0.05 s here); the architecture has to be the same. Engine must be idle."""
        self._ask(LoadWeights(model)).result()

    def close(self) -> None:
        """End the process; what is in flight fails."""
        self._process.end()

    def _number_of(self, prompt: Prompt) -> int:
        """What vLLM's process knows a prompt by."""
        with self._lock:
            if prompt not in self._taken:
                assert prompt.token_ids is not None, "vLLM's prompts are tokenised before they come here"
                self._num_prompts += 1
                self._taken[prompt] = self._num_prompts
                self._send(TakePrompt(self._num_prompts, prompt.token_ids))
            return self._taken[prompt]

    def _ask(self, task: Draw | Score | LoadWeights) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._failure is not None:
                raise EngineFailure(f"The engine has stopped: {self._failure}")
            self._num_requests += 1
            self._pending[self._num_requests] = future
            self._send((self._num_requests, task))
        return future

    def _send(self, message: Message) -> None:
        with suppress(OSError):  # the process has ended, and `_receive` fails what is pending
            self._process.connection.send(message)

    def _receive(self) -> None:
        """Hand out answers until the process has ended."""
        try:
            while not isinstance(answers := self._process.connection.recv(), Failed):
                self._hand_out(answers)
            self._fail(answers.reason)
        except (EOFError, OSError):
            self._fail(f"vLLM's process ended ({self._process.exit_code()})")

    def _hand_out(self, answers: Answers) -> None:
        self.busy_s = answers.busy_s
        for key, outcome in answers.outcomes:
            future = self._pending.pop(key)
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _fail(self, reason: str) -> None:
        """Fail what is in flight, and from now on whatever comes."""
        with self._lock:
            self._failure = reason
            pending, self._pending = self._pending, {}
        failure = EngineFailure(f"The engine failed while decoding: {reason}")
        for future in pending.values():
            future.set_exception(failure)


class _Process:
    """vLLM's process and the socket to it. It finds what this one can import; signals to a terminal's foreground do
    not reach it, and it ends when this end of the socket does."""

    def __init__(self, options: EngineOptions) -> None:
        self._socket, theirs = socket.socketpair()
        self.connection = Connection(os.dup(self._socket.fileno()))
        path = os.pathsep.join(filter(None, sys.path))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", vllm_process.__name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | options.environment() | {"PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def open(self, model: str, options: EngineOptions) -> str:
        """Name and version of what was opened; raises EngineFailure, or EOFError or OSError when it ends meanwhile."""
        self.connection.send((model, options))
        opened: str | Failed = self.connection.recv()
        if isinstance(opened, Failed):
            raise EngineFailure(opened.reason)
        return opened

    def exit_code(self) -> str:
        """In words; the process is about to end."""
        try:
            return f"exit code {self._process.wait(1.0)}"
        except subprocess.TimeoutExpired:
            return "no exit code yet"

    def end(self) -> None:
        """Close the socket and wait."""
        with suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _opened(model: str, options: EngineOptions) -> tuple[_Process, str]:
    """A process with its engine's name."""
    for _ in range(_MAX_STARTS):
        process = _Process(options)
        try:
            return process, process.open(model, options)
        except (EOFError, OSError):
            lost = f"vLLM's process ended before it was up ({process.exit_code()}), {_MAX_STARTS} times"
        except BaseException:
            process.end()
            raise
    raise EngineFailure(lost)
