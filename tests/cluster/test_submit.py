"""`siked submit` against a real Ray head with its dashboard: the id, the log, the exit code."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from siked_ray.config import dump_config, load_config
from tests.cluster.conftest import ROOT, make_fake_run

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        yield inherited | {
            "RAY_AUTH_MODE": "disabled",
            "RAY_TMPDIR": short,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }


@pytest.fixture(scope="module")
def dashboard(environment: dict[str, str]) -> Iterator[str]:
    """Address of the dashboard of a head that this module starts and ends."""
    port = free_port()
    command = ["ray", "start", "--head", "--block", f"--port={free_port()}", "--num-cpus=2"]
    command += [f"--dashboard-port={port}", "--dashboard-host=127.0.0.1", f"--ray-client-server-port={free_port()}"]
    command += ["--dashboard-agent-listen-port=0"]
    head = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 90
    while not answers(f"{address}/api/version"):
        assert time.monotonic() < deadline and head.poll() is None, "the head did not start"
        time.sleep(0.5)
    yield address
    head.terminate()
    head.wait(timeout=30)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return answer.status == 200
    return False


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory to submit from: the package, settings and data, and a run that is finished."""
    shutil.copytree(
        ROOT / "siked_ray", tmp_path / "project" / "siked_ray", ignore=shutil.ignore_patterns("__pycache__")
    )
    run = make_fake_run(tmp_path / "project" / "job")
    config = load_config(run.settings)
    run.folder.mkdir()
    (run.folder / "config.yaml").write_text(dump_config(config))
    summary = {"run": str(run.folder), "status": "finished", "best_iteration": None, "iterations": []}
    (run.folder / "summary.json").write_text(json.dumps(summary))
    return tmp_path / "project"


def submit(project: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "siked_ray", "submit", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def test_a_job_is_followed_to_its_end(project: Path, dashboard: str, environment: dict[str, str]) -> None:
    answer = submit(project, environment, "job/run.yaml", "--address", dashboard)
    assert answer.returncode == 0, answer.stderr
    first, *log = answer.stdout.splitlines()
    assert first.startswith("raysubmit_")
    assert any("is finished; nothing is left to do." in line for line in log)
    assert f"{first} succeeded" in answer.stderr


def test_the_exit_code_of_a_job_comes_back(project: Path, dashboard: str, environment: dict[str, str]) -> None:
    """A model that is missing on the cluster is found there, and is the user's to change: 2."""
    answer = submit(
        project, environment, "job/run.yaml", "run_dir=job/other", "student.model=/nowhere", "--address", dashboard
    )
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "student.model: there is no directory /nowhere" in answer.stdout
