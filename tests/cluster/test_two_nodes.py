"""The smoke job, real vLLM and DeepSpeed, across two nodes that both go: the mixtures are those of one machine."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ROOT, Nodes, started_cluster

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(1200)]
#: Training begins to step about then, and may be over before it says so.
_INTO_STAGE_S = 15.0
_RUN_TIMEOUT_S = 900.0


def started_run(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "siked_ray", "run", "jobs/smoke.yaml", f"run_dir={folder}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(run: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    output, _ = run.communicate(timeout=_RUN_TIMEOUT_S)
    assert run.returncode == 0, output
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    return summary


def mixtures(summary: dict[str, Any]) -> list[str]:
    return [one["mixture"]["sha256"] for one in summary["iterations"]]


def is_running(folder: Path, words: str) -> bool:
    """A stage with these words in its name is not finished, and has done something or taken some time."""
    path = folder / "progress.json"
    stages = json.loads(path.read_text())["stages"] if path.exists() else []
    stages = [one for one in stages if words in one["name"] and one["finished_at"] is None]
    return any(one["done"] > 0 or time.time() - one["started_at"] > _INTO_STAGE_S for one in stages)


def replace_a_node_during(words: str, folder: Path, nodes: Nodes, run: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    while not is_running(folder, words):
        assert run.poll() is None and time.monotonic() < deadline, f"never seen: {words}"
        time.sleep(0.2)
    nodes.kill(nodes.workers[0])
    nodes.add()


def test_nodes_with_engines_and_with_training_workers_are_lost(tmp_path: Path) -> None:
    """One CPU per node, so that an engine, and then a training worker, has to be on either."""
    undisturbed = finished(started_run(tmp_path / "undisturbed"), tmp_path / "undisturbed")
    folder = tmp_path / "run"
    with started_cluster(2, num_cpus=1) as nodes:
        run = started_run(folder)
        for words in ("student samples", "training"):
            replace_a_node_during(words, folder, nodes, run)
        summary = finished(run, folder)
    assert mixtures(summary) == mixtures(undisturbed)
