"""Starts, feeds and kills sandbox servers. Safe to use from many threads; no signals are used in this process."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from siked_ray.verification.sandbox.server import WALL_CLOCK_FACTOR

_START_TIMEOUT_S = 60.0
_GRACE_S = 2.0
_MAX_REPLY_BYTES = 131_072
_ROOT = Path(__file__).resolve().parents[3]
#: One thread per numerical library: a jailed child may not start threads.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_PROGRAM = """
import sys; sys.path.insert(0, sys.argv[1])
from siked_ray.verification.sandbox.server import main; main(algebra=sys.argv[2] == "algebra")
"""


class SandboxError(Exception):
    """The task gave no reply: it crashed, or the sandbox cannot be built on this machine."""


class SandboxGone(SandboxError):
    """The server's own process is gone; its tasks run in children, so a program cannot have done that."""


class SandboxTimeout(SandboxError):
    """The task missed its deadline and was killed."""


class SandboxPool:
    """Up to `num_workers` server processes, started when first needed, reused, replaced after a failure.

    With `algebra` they have sympy, numpy and math-verify; without, they start ten times and answer twice as fast.
    """

    def __init__(self, *, algebra: bool, num_workers: int = 1, memory_mb: int = 64) -> None:
        self._algebra = algebra
        self._memory_mb = memory_mb
        self._slots: queue.LifoQueue[_Server | None] = queue.LifoQueue()
        for _ in range(num_workers):
            self._slots.put(None)
        self._num_workers = num_workers
        self._closed = threading.Event()

    def run(self, task: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The reply to a task. Raises SandboxTimeout or SandboxError; neither harms the next task.

        A task whose server was killed from outside is given to a new one, once.
        """
        with suppress(SandboxGone):
            return self._run_once(task, timeout_s)
        return self._run_once(task, timeout_s)

    def _run_once(self, task: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        server = self._slots.get()
        try:
            if self._closed.is_set():
                raise SandboxError("the sandbox is closed")
            server = server or _Server(algebra=self._algebra)
            return _checked(
                server.ask(
                    {**task, "timeout_s": timeout_s, "memory_mb": self._memory_mb},
                    WALL_CLOCK_FACTOR * timeout_s + _GRACE_S,
                )
            )
        finally:
            if server is not None and server.is_dead:
                server = None
            self._slots.put(server)

    def close(self) -> None:
        """Kills the servers once their current tasks have ended; waiting tasks are refused."""
        self._closed.set()
        servers = [self._slots.get() for _ in range(self._num_workers)]
        for server in servers:
            if server is not None:
                server.kill()
            self._slots.put(None)

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server:
    """One server process; used by one thread at a time."""

    def __init__(self, *, algebra: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _PROGRAM, str(_ROOT), "algebra" if algebra else "plain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            bufsize=0,
        )
        self._buffer = b""
        self.is_dead = False
        if not self._reply(_START_TIMEOUT_S).get("ready"):
            self.kill()
            raise SandboxError("the sandbox does not start")

    def ask(self, task: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Sends a task and waits for its reply. A server that is late or gone is killed."""
        assert self._process.stdin is not None, "the process was started with a pipe"
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
        except OSError as error:
            self.kill()
            raise SandboxGone(f"the sandbox is gone ({error})") from None
        return self._reply(timeout_s)

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        try:
            reply = json.loads(self._line(time.monotonic() + timeout_s))
        except SandboxError:
            self.kill()
            raise
        except (ValueError, RecursionError):
            return {"failed": "exception", "error": "the reply is no JSON"}
        return reply if isinstance(reply, dict) else {}

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None, "the process was started with a pipe"
        fd = self._process.stdout.fileno()
        poller = select.poll()  # select() cannot watch descriptors above 1,023, which a Ray worker may well have
        poller.register(fd, select.POLLIN)
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not poller.poll(remaining * 1000):
                raise SandboxTimeout("the sandbox did not answer in time")
            chunk = os.read(fd, 65_536)
            if not chunk:
                raise SandboxGone("the sandbox ended")
            if len(self._buffer) > _MAX_REPLY_BYTES:
                raise SandboxError("the reply is too long")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def kill(self) -> None:
        """Ends the server and its children: they are alone in a session that this process started."""
        self.is_dead = True
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _checked(reply: dict[str, Any]) -> dict[str, Any]:
    failed = reply.get("failed")
    if failed is None:
        return reply
    if failed == "timeout":
        raise SandboxTimeout("time limit exceeded")
    reasons = {
        "memory": "memory limit exceeded",
        "killed": f"killed by the sandbox (signal {reply.get('signal')})",
        "no jail": f"the sandbox cannot be built on this machine: {reply.get('error')}",
    }
    raise SandboxError(reasons.get(str(failed), str(reply.get("error") or failed)))
