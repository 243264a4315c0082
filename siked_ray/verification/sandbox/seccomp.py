"""A system-call filter for a child that only computes: memory, clock, and writing to pipes it holds already.

Written against the kernel's interface (prctl, BPF) because no maintained Python package on the index does
this without a compiler. Linux on x86-64 and arm64; elsewhere `install` raises OSError, and the sandbox
then refuses to run anything.
"""

import ctypes
import platform
import struct
from functools import cache

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _KILL_PROCESS, _ERRNO_EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_THIRD_ARGUMENT = 0, 4, 32
_PROT_EXEC = 4

#: Audit architecture and column in the tables below.
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

#: Numbers of the system calls on x86-64 and on arm64 (None: arm64 has no such call). What is in no table kills.
_ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "times": (100, 153),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
#: Fail with EPERM instead of killing: what an import or a library does on the way to an ordinary exception.
_DENIED: dict[str, tuple[int, int | None]] = {
    "open": (2, None),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "ioctl": (16, 29),
    "access": (21, None),
    "uname": (63, 160),
    "getdents": (78, None),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "sysinfo": (99, 179),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "prlimit64": (302, 261),
    "statx": (332, 291),
    "faccessat2": (439, 439),
}
#: Allowed unless they ask for executable memory.
_MEMORY: dict[str, tuple[int, int | None]] = {"mmap": (9, 222), "mprotect": (10, 226)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def is_supported() -> bool:
    """Whether this platform has a table; whether the kernel takes the filter shows on installing."""
    return platform.system() == "Linux" and platform.machine() in _ARCHITECTURES


@cache
def compiled() -> bytes:
    """The filter for this machine; made before forking, so that no child spends time on it. Raises OSError."""
    if not is_supported():
        raise OSError(f"no system-call filter for {platform.system()} on {platform.machine()}")
    architecture, column = _ARCHITECTURES[platform.machine()]
    return _filter(architecture, *(_numbers(table, column) for table in (_ALLOWED, _DENIED, _MEMORY)))


def install() -> None:
    """Confines this process, for good. Raises OSError where the kernel does not take the filter."""
    code = compiled()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "the kernel refuses the system-call filter")


def _numbers(table: dict[str, tuple[int, int | None]], column: int) -> list[int]:
    return [number for numbers in table.values() if (number := numbers[column]) is not None]


def _filter(arch: int, allowed: list[int], denied: list[int], memory: list[int]) -> bytes:
    """BPF: another architecture dies; listed calls pass, fail, or pass unless they ask for executable memory."""
    lines = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
    ]
    for number in allowed:
        lines += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number in denied:
        lines += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO_EPERM)]
    for number in memory:
        lines += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _OFFSET_THIRD_ARGUMENT),
            (_JUMP_ANY_BIT, 0, 1, _PROT_EXEC),
            (_RETURN, 0, 0, _ERRNO_EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    lines.append((_RETURN, 0, 0, _KILL_PROCESS))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
