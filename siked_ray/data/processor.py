"""What this machine's processor can do, as Linux says it."""

from pathlib import Path

#: Flags in /proc/cpuinfo of processors that multiply matrices of bfloat16 themselves.
_UNITS = ("avx512_bf16", "amx_bf16")
_CPU_INFO = Path("/proc/cpuinfo")


def bfloat16_units(cpu_info: str | None = None) -> list[str]:
    """What this processor multiplies matrices of bfloat16 with, of AVX512_BF16 and AMX; none where that is unknown."""
    if cpu_info is None:
        cpu_info = _CPU_INFO.read_text() if _CPU_INFO.exists() else ""
    flags = {flag for line in cpu_info.splitlines() if line.startswith("flags") for flag in line.split()}
    return [unit for unit in _UNITS if unit in flags]
