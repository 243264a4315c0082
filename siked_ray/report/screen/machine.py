"""What a machine has of what siked-ray needs."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from siked_ray.data.processor import bfloat16_units
from siked_ray.training.compute.precision import MIN_PARAMETERS

_GIB = 1 << 30
_MIN_MEMORY_GIB = 8
_MIN_DISK_GIB = 5
_IMPORT_TIMEOUT_S = 180


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that was looked at; `remedy` says how to fix it where it is not ok."""

    subject: str
    ok: bool
    found: str
    remedy: str = ""


def examine() -> list[Fact]:
    """Look at everything, the quick things first."""
    checks: list[Callable[[], Fact]] = [_python, _cores, _bfloat16, _memory, _disk, _gpu]
    return [*(check() for check in checks), *_packages(), _vllm_imports(), _ray_cluster()]


def _python() -> Fact:
    ok = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Fact(subject="python", ok=ok, found=sys.version.split()[0], remedy="use Python 3.11, 3.12 or 3.13")


def _cores() -> Fact:
    num_cores = os.cpu_count() or 0
    return Fact(subject="CPU cores", ok=num_cores >= 2, found=str(num_cores), remedy="2 cores are the least")


def _bfloat16() -> Fact:
    units = bfloat16_units()
    found = (
        f"{' and '.join(units)}: students of {MIN_PARAMETERS:,} parameters and more train in bfloat16"
        if units
        else "neither AVX512_BF16 nor AMX: students train in float32"
    )
    return Fact(subject="bfloat16 on CPUs", ok=True, found=found)


def _memory() -> Fact:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return Fact(
        subject="memory",
        ok=gib >= _MIN_MEMORY_GIB,
        found=f"{gib:.0f} GiB",
        remedy=f"{_MIN_MEMORY_GIB} GiB are the least",
    )


def _disk() -> Fact:
    folder = tempfile.gettempdir()
    gib = shutil.disk_usage(folder).free / _GIB
    remedy = f"make room in {folder}, or set TMPDIR to a larger disk"
    return Fact(subject="free disk", ok=gib >= _MIN_DISK_GIB, found=f"{gib:.0f} GiB in {folder}", remedy=remedy)


def _gpu() -> Fact:
    if not shutil.which("nvidia-smi"):
        return Fact(subject="GPU", ok=True, found="none: the CPU flavour runs small models only")
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    names = "; ".join(answer.stdout.split("\n")).strip("; ")
    return Fact(
        subject="GPU", ok=answer.returncode == 0, found=names or answer.stderr.strip(), remedy="mend the driver"
    )


def _packages() -> list[Fact]:
    """The declared requirements, each against what is installed."""
    declared = [Requirement(text) for text in requires("siked-ray") or []]
    return [_package(requirement) for requirement in declared if requirement.marker is None]


def _package(requirement: Requirement) -> Fact:
    remedy = f"pip install '{requirement}'"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return Fact(subject=requirement.name, ok=False, found="not installed", remedy=remedy)
    ok = requirement.specifier.contains(installed, prereleases=True)
    found = installed if ok else f"{installed}, wanted {requirement.specifier}"
    return Fact(subject=requirement.name, ok=ok, found=found, remedy=remedy)


def _vllm_imports() -> Fact:
    """Import vLLM in a process of its own: what is wrong with it shows at import."""
    remedy = (
        "install `.[cpu]` or `.[gpu]`; on the CPU flavour remove the CUDA builds that vLLM's CPU build cannot "
        "load: pip uninstall -y torchvision torchaudio torchcodec"
    )
    command = [sys.executable, "-c", "import vllm; from vllm import LLM; print(vllm.__version__)"]
    environment = os.environ | {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_IMPORT_TIMEOUT_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Fact(subject="vllm imports", ok=False, found=f"not within {_IMPORT_TIMEOUT_S} s", remedy=remedy)
    lines = (answer.stdout if answer.returncode == 0 else answer.stderr).strip().splitlines() or ["no output"]
    return Fact(subject="vllm imports", ok=answer.returncode == 0, found=lines[-1], remedy=remedy)


def _ray_cluster() -> Fact:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Fact(subject="Ray cluster", ok=True, found="RAY_ADDRESS is not set: runs start Ray on this machine")
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        resources = {name: amount for name, amount in ray.cluster_resources().items() if ":" not in name}
    except Exception as error:
        return Fact(subject="Ray cluster", ok=False, found=f"{address}: {error}", remedy="unset or mend RAY_ADDRESS")
    finally:
        ray.shutdown()
    return Fact(subject="Ray cluster", ok=True, found=f"{address}: {resources}")
