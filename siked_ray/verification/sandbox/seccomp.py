"""A system-call filter for a child that only computes: memory, clock, and writing to pipes it holds already.

Written against the kernel's interface (prctl, BPF) because no maintained Python package on the index does
this without a compiler. Linux on x86-64 and arm64; elsewhere `install` raises OSError, and the sandbox
then refuses to run anything.
"""

import ctypes
import platform
import struct

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _KILL_PROCESS, _ERRNO_EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_THIRD_ARGUMENT = 0, 4, 32
_PROT_EXEC = 4

#: (audit architecture, system calls that are allowed, those that fail with EPERM, memory calls that must not ask for PROT_EXEC)
#: Everything that is not listed kills the process.
_TABLES = {
    "x86_64": (
        0xC000003E,
        # read write close lseek munmap brk sigaction sigprocmask sigreturn sched_yield mremap madvise nanosleep getpid
        # exit gettimeofday times getrusage sigaltstack gettid futex clock_gettime clock_getres clock_nanosleep
        # exit_group set_robust_list getrandom membarrier rseq
        (
            0,
            1,
            3,
            8,
            11,
            12,
            13,
            14,
            15,
            24,
            25,
            28,
            35,
            39,
            60,
            96,
            98,
            100,
            131,
            186,
            202,
            228,
            229,
            230,
            231,
            273,
            318,
            324,
            334,
        ),
        # open stat fstat lstat access ioctl getcwd readlink getdents getdents64 openat newfstatat readlinkat faccessat statx
        # uname sysinfo sched_getaffinity prlimit64 faccessat2
        (2, 4, 5, 6, 16, 21, 63, 78, 79, 89, 99, 204, 217, 257, 262, 267, 269, 302, 332, 439),
        (9, 10),
    ),
    "aarch64": (
        0xC00000B7,
        # read write close lseek munmap brk sigaction sigprocmask sigreturn sched_yield mremap madvise nanosleep getpid
        # exit gettimeofday times getrusage sigaltstack gettid futex clock_gettime clock_getres clock_nanosleep
        # exit_group set_robust_list getrandom membarrier rseq
        (
            63,
            64,
            57,
            62,
            215,
            214,
            134,
            135,
            139,
            124,
            216,
            233,
            101,
            172,
            93,
            169,
            153,
            165,
            132,
            178,
            98,
            113,
            114,
            115,
            94,
            99,
            278,
            283,
            293,
        ),
        # openat newfstatat fstat faccessat ioctl getcwd readlinkat getdents64 statx uname sysinfo sched_getaffinity prlimit64 faccessat2
        (56, 79, 80, 48, 29, 17, 78, 61, 291, 160, 179, 123, 261, 439),
        (222, 226),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def is_supported() -> bool:
    """Whether this platform has a table; whether the kernel takes the filter shows on installing."""
    return platform.system() == "Linux" and platform.machine() in _TABLES


def install() -> None:
    """Confines this process, for good. Raises OSError where the kernel does not take the filter."""
    if not is_supported():
        raise OSError(f"no system-call filter for {platform.system()} on {platform.machine()}")
    code = _filter(*_TABLES[platform.machine()])
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "the kernel refuses the system-call filter")


def _filter(arch: int, allowed: tuple[int, ...], denied: tuple[int, ...], memory: tuple[int, ...]) -> bytes:
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
