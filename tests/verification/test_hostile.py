"""Nothing gets out, nothing hostile is judged correct, every honest neighbour keeps its verdict, memory is bounded."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from siked_ray.core.verdict import Verdict
from siked_ray.verification import DEFAULT_ANSWER_FORMATS, Verifier

from .hostile_programs import PLAIN, SYMPY

_HONEST = (
    ("answer = 6 * 7", "42"),
    ("def solution():\n    return 43 - 1", "42"),
    ("print(84 // 2)", "42"),
    ("from sympy import *\nx = symbols('x')\nanswer = solve(x - 42, x)[0]", "42"),
)


@pytest.fixture()
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A file and an environment variable that hold the gold, a file that must not appear, and a process to kill."""
    secret = tmp_path / "secret"
    secret.write_text("42")
    monkeypatch.setenv("SIKED_SECRET", "42")
    return {"secret": secret, "marker": tmp_path / "marker", "pid": os.getpid()}


def _judge_all(programs: tuple[str, ...], bait: dict[str, object], honest: tuple[tuple[str, str], ...]) -> list[str]:
    """What went wrong when the programs run among honest ones, on four threads and two workers."""
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    problems = []
    try:
        with (
            Verifier(DEFAULT_ANSWER_FORMATS, program_timeout_s=0.3, symbolic_timeout_s=0.6, num_workers=2) as verifier,
            ThreadPoolExecutor(4) as threads,
        ):
            jobs = []
            for index, program in enumerate(programs):
                code = program.format(**{**bait, "pid": victim.pid})
                jobs.append((code, False, threads.submit(verifier.judge, "pot", code, "42")))
                code, gold = honest[index % len(honest)]
                jobs.append((code, True, threads.submit(verifier.judge, "pot", code, gold)))
            for code, is_honest, job in jobs:
                judgement = job.result(timeout=60)
                if (judgement.verdict is Verdict.CORRECT) != is_honest or "the verifier failed" in judgement.reason:
                    problems.append(f"{code[-120:]!r}: {judgement}")
            if _children_bytes() > 1_500_000_000:
                problems.append(f"workers hold {_children_bytes()} bytes")
        if victim.poll() is not None:
            problems.append("a bystander was killed")
    finally:
        victim.kill()
        victim.wait()
    marker = bait["marker"]
    assert isinstance(marker, Path)
    return problems + (["a file was written"] if marker.exists() else [])


def _children_bytes() -> int:
    """Memory of our descendants; what they share with each other counts once per process."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def test_hostile_programs_in_the_first_tier(bait: dict[str, object]) -> None:
    assert len(PLAIN) > 100
    problems = _judge_all(PLAIN, bait, _HONEST[:3])
    assert not problems, "\n".join(problems)


@pytest.mark.slow
def test_hostile_programs_in_the_second_tier(bait: dict[str, object]) -> None:
    problems = _judge_all(SYMPY, bait, _HONEST)
    assert not problems, "\n".join(problems)


def test_no_worker_survives_its_verifier() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Verifier(DEFAULT_ANSWER_FORMATS) as verifier:
        assert verifier.judge("pot", _HONEST[3][0], "42").verdict is Verdict.CORRECT
        assert {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
