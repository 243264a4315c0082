"""The server process: loads its libraries once, then forks one jailed child per task and watches its clock.

Reads one JSON task per line on stdin, writes one JSON reply per line on stdout. It never interprets what a
child sends: it passes on the bytes. Single-threaded, so that forking is safe. Ends when stdin closes.
"""

import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

_MAX_REPLY_BYTES = 65_536
#: Wall clock of a task, as a multiple of its processor time: a busy machine must not decide verdicts.
WALL_CLOCK_FACTOR = 4

Run = Callable[[dict[str, Any]], dict[str, Any]]


def main(*, algebra: bool) -> None:
    """Entry point of the process that `client` starts; `algebra`: with sympy, numpy and math-verify."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the client decides
    reply_fd = os.dup(1)
    os.dup2(2, 1)  # nothing that prints by accident may end up among the replies
    from siked_ray.verification.sandbox import seccomp, tasks

    tasks.warm_up(algebra=algebra)
    with suppress(OSError):  # each child says so by itself
        seccomp.compiled()
    gc.collect()
    gc.freeze()
    _send(reply_fd, json.dumps({"ready": True}).encode())
    for line in sys.stdin.buffer:
        _send(reply_fd, _run_in_child(partial(tasks.run, algebra=algebra), json.loads(line)))


def _send(reply_fd: int, reply: bytes) -> None:
    data = reply.replace(b"\n", b" ") + b"\n"
    while data:
        data = data[os.write(reply_fd, data) :]


def _run_in_child(run: Run, task: dict[str, Any]) -> bytes:
    receive_fd, result_fd = os.pipe()
    deadline = time.monotonic() + WALL_CLOCK_FACTOR * float(task["timeout_s"])
    child = os.fork()
    if child == 0:
        _child(run, task, result_fd)
    os.close(result_fd)
    try:
        reply, in_time = _receive(receive_fd, deadline)
    finally:
        os.close(receive_fd)
        os.kill(child, signal.SIGKILL)  # our own child and not yet waited for: the id cannot be anybody else's
        _, status = os.waitpid(child, 0)
    killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if not in_time or (not reply and killer in (signal.SIGPROF, signal.SIGXCPU)):
        return b'{"failed": "timeout"}'
    return reply or json.dumps({"failed": "killed", "signal": killer}).encode()


def _receive(receive_fd: int, deadline: float) -> tuple[bytes, bool]:
    """Bytes up to the end of the child's output or the size limit, and whether that was within the deadline."""
    reply = b""
    while len(reply) < _MAX_REPLY_BYTES:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([receive_fd], [], [], remaining)[0]:
            return b"", False
        chunk = os.read(receive_fd, _MAX_REPLY_BYTES - len(reply))
        if not chunk:
            return reply, True
        reply += chunk
    return b'{"failed": "reply too long"}', True


def _child(run: Run, task: dict[str, Any], result_fd: int) -> NoReturn:
    """Never returns."""
    try:
        from siked_ray.verification.sandbox.jail import shut_in

        try:
            shut_in(result_fd=result_fd, memory_mb=int(task["memory_mb"]), timeout_s=float(task["timeout_s"]))
        except (OSError, ValueError) as error:
            os.write(result_fd, json.dumps({"failed": "no jail", "error": str(error)}).encode())
            os._exit(0)
        try:
            reply = json.dumps(run(task)).encode()
        except MemoryError:
            reply = b'{"failed": "memory"}'
        except BaseException as error:
            reply = json.dumps({"failed": "exception", "error": f"{type(error).__name__}: {error}"[:300]}).encode()
        os.write(result_fd, reply[:_MAX_REPLY_BYTES])
    finally:
        os._exit(0)
