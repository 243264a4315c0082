"""Each wall alone: monty without the screening before it, full Python in the jail without the guard before it."""

import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification.monty_runner import MontyRunner, NeedsSecondTier, SyntaxProblem
from siked_ray.verification.sandbox import guard, safe_strings, seccomp
from siked_ray.verification.sandbox.jail import shut_in

from .hostile_programs import PLAIN

needs_seccomp = pytest.mark.skipif(not seccomp.is_supported(), reason="no system-call filter for this platform")


def test_monty_alone_lets_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the screening a program may still name the gold itself; it may not read it, write or kill."""
    (tmp_path / "secret").write_text("4711")
    monkeypatch.setenv("SIKED_SECRET", "4711")
    runner = MontyRunner(timeout_s=0.2, memory_mb=32, num_workers=1)
    try:
        for program in PLAIN:
            code = program.format(secret=tmp_path / "secret", marker=tmp_path / "marker", pid=os.getpid())
            try:
                outcome = runner.run(code)
            except (NeedsSecondTier, SyntaxProblem):
                continue
            assert "4711" not in outcome.answers, code
            assert runner.run("answer = 7").answers == ("7",), code
    finally:
        runner.close()
    assert not (tmp_path / "marker").exists()


_PARENT = os.getpid()
_KILLED = {
    "socket": socket.socket,
    "fork": os.fork,
    "kill the parent": lambda: os.kill(_PARENT, signal.SIGKILL),
    "kill everything": lambda: os.kill(-1, signal.SIGKILL),
    "stop itself": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "exec": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 3"]),
    "thread": lambda: threading.Thread(target=print).start(),
    "unlink": lambda: os.unlink("/tmp/x"),
    "chmod": lambda: os.chmod("/tmp", 0o777),
    "pipe": os.pipe,
    "memfd": lambda: os.memfd_create("x"),
    "setuid": lambda: os.setuid(0),
    "ptrace": lambda: ctypes.CDLL(None).ptrace(16, _PARENT, 0, 0),
    "unshare": lambda: ctypes.CDLL(None).unshare(0x10000000),
    "another ABI": lambda: ctypes.CDLL(None).syscall(0x40000000 + 57),
    "io_uring": lambda: ctypes.CDLL(None).syscall(425, 8, 0),
    "parent's pid": os.getppid,
}
_REFUSED = {
    "read a file": lambda: Path("/etc/passwd").read_text(),
    "write a file": lambda: Path("/tmp/siked_wall").write_text("x"),
    "list a directory": lambda: os.listdir("/"),
    "executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
    "parent's limits": lambda: resource.prlimit(_PARENT, resource.RLIMIT_CPU, (1, 1)),
    "memory": lambda: bytearray(200_000_000),
    "an inherited descriptor": lambda: os.write(5, b"x"),
}
_TIMED_OUT = {
    "loop": lambda: [None for _ in iter(int, 1) if False],
    "sleep": lambda: time.sleep(100),
}


def _in_jail(act: Callable[[], object]) -> tuple[bytes, int, float]:
    """What a jailed child reports, its exit status, and how long it took."""
    receive_fd, result_fd = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            shut_in(result_fd=result_fd, memory_mb=64, timeout_s=0.3)
            try:
                act()
                report = b"done"
            except BaseException as error:
                report = b"refused " + repr(error).encode()[:200]
            os.write(result_fd, report)
        finally:
            os._exit(0)
    os.close(result_fd)
    ready = select.select([receive_fd], [], [], 2.0)[0]
    report = os.read(receive_fd, 1000) if ready else b"late"
    os.close(receive_fd)
    os.kill(child, signal.SIGKILL)
    return report, os.waitpid(child, 0)[1], time.monotonic() - start


@needs_seccomp
@pytest.mark.parametrize("name", _KILLED)
def test_the_jail_kills(name: str) -> None:
    report, status, _ = _in_jail(_KILLED[name])
    assert report == b"" and os.WTERMSIG(status) == signal.SIGSYS


@needs_seccomp
@pytest.mark.parametrize("name", _REFUSED)
def test_the_jail_refuses(name: str) -> None:
    report, _, _ = _in_jail(_REFUSED[name])
    assert report.startswith(b"refused"), report
    assert not Path("/tmp/siked_wall").exists()


@needs_seccomp
@pytest.mark.parametrize("name", _TIMED_OUT)
def test_the_jail_ends(name: str) -> None:
    report, status, seconds = _in_jail(_TIMED_OUT[name])
    assert report in (b"", b"late") and seconds < 3.0
    assert name == "sleep" or os.WTERMSIG(status) == signal.SIGPROF


@needs_seccomp
def test_honest_work_is_done_in_the_jail() -> None:
    assert _in_jail(lambda: sum(range(1000)) and len(bytearray(20_000_000)))[0] == b"done"


@pytest.mark.parametrize(
    "code",
    [
        "x.__class__",
        "x._secret",
        "x.gi_frame",
        "class A: pass",
        "'__class__'",
        "def __f__(): pass",
        "import a as __b__",
        "x.format_map(y)",
        "with x: pass",
        "f(__a__=1)",
        "global __x__",
        "lambda __a__: 1",
    ],
)
def test_the_guard_refuses(code: str) -> None:
    with pytest.raises(guard.Refused):
        guard.checked_tree(code)


def test_the_guard_lets_no_handler_catch_everything() -> None:
    import ast

    tree = guard.checked_tree("try:\n    f()\nexcept BaseException:\n    pass\nexcept:\n    pass")
    assert ast.unparse(tree).count("except Exception") == 2


@pytest.mark.parametrize("text", ["2*x + 3", "1/2", "sqrt(2)", "x**2 - 4", "2x", "3.5", "x = 3"])
def test_arithmetic_strings(text: str) -> None:
    assert safe_strings.is_arithmetic(text)


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "__import__('os')",
        "x.y",
        "().__class__",
        "[c for c in x]",
        "lambda: 1",
        "exec",
        "x if y else z",
        "f(x)",
        "'a'",
        "x[0]",
        "eval",
        "_x",
        "sqrt(x, evaluate=False)",
        "{}",
        "1" * 600,
        "",
        None,
        5,
    ],
)
def test_other_strings_are_not_evaluated(text: object) -> None:
    assert not safe_strings.is_arithmetic(text)


def test_a_refused_file_fails_a_program_that_caught_the_error() -> None:
    runner = MontyRunner(timeout_s=1.0, memory_mb=32, num_workers=1)
    try:
        for code in (
            "import os\ntry:\n    os.listdir('/')\nexcept Exception:\n    pass\nanswer = 42",
            "try:\n    import secrets\nexcept ImportError:\n    pass\nanswer = 42",
        ):
            assert runner.run(code).verdict is Verdict.ERROR
    finally:
        runner.close()
