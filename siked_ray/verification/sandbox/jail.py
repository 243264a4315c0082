"""Shuts a freshly forked child in: limits, no privileges, no descriptors but one, and a system-call filter."""

import ctypes
import os
import resource
import signal
from contextlib import suppress

from siked_ray.verification.sandbox import seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_NOBODY = 65534


def shut_in(*, result_fd: int, memory_mb: int, timeout_s: float) -> None:
    """After this call the process can compute, and write to `result_fd`; nothing else, and not for long.

    Raises OSError where a wall cannot be built: the caller must then give up, not go on without it.
    """
    _die_with_parent()
    _keep_only(result_fd)
    _limit(memory_mb, timeout_s)
    _drop_privileges()
    seccomp.install()


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _keep_only(result_fd: int) -> None:
    """Standard descriptors become /dev/null; all others but the result pipe are closed."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor != result_fd:
            with suppress(OSError):  # the listing's own descriptor is closed already
                os.close(descriptor)


def _limit(memory_mb: int, timeout_s: float) -> None:
    """Time is processor time, so that a busy machine changes no verdict; the server has a wall clock for the rest."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, timeout_s)  # this is the child, alone with its one thread
    cpu_s = int(timeout_s) + 2
    for limit, value in (
        (resource.RLIMIT_AS, _address_space() + memory_mb * 1_000_000),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def _address_space() -> int:
    """Bytes mapped so far (sympy and the interpreter); the task's own memory comes on top."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _drop_privileges() -> None:
    """Root becomes nobody where it may; a container's root without capabilities has nothing to drop."""
    if os.geteuid() == 0:
        with suppress(PermissionError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
