"""The smoke job, real vLLM and DeepSpeed, across two nodes that both go: mixtures and losses as on one machine."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import ROOT, Nodes, started_cluster

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(1200)]
_RUN_TIMEOUT_S = 900.0
#: The job's own 3 take two seconds.
_EPOCHS = 6
#: Files that appear while a stage is under way; `progress.json` is written every five seconds, too seldom for them.
_SIGNS = {
    "samples of the student": "rollouts/iteration_01/*/part-*.parquet",
    "steps of the training after them": "logs/tensorboard/training_01/events.*",
}


def started_run(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "siked_ray", "run", "jobs/smoke.yaml", f"run_dir={folder}"]
    command += [f"training.epochs={_EPOCHS}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(run: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    output, _ = run.communicate(timeout=_RUN_TIMEOUT_S)
    assert run.returncode == 0, output
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    return summary


def learnt(summary: dict[str, Any]) -> list[tuple[str, float]]:
    """What was trained on in each iteration, and where the loss ended."""
    return [(one["mixture"]["sha256"], one["training"]["last_loss"]) for one in summary["iterations"]]


def replace_a_node_at(sign: str, folder: Path, nodes: Nodes, run: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    while not any(folder.glob(_SIGNS[sign])):
        assert run.poll() is None and time.monotonic() < deadline, f"never seen: {sign}"
        time.sleep(0.1)
    nodes.kill(nodes.workers[0])
    nodes.add()


def test_nodes_with_engines_and_with_training_workers_are_lost(tmp_path: Path) -> None:
    """One CPU per node, so that an engine, and then a training worker, has to be on either."""
    undisturbed = finished(started_run(tmp_path / "undisturbed"), tmp_path / "undisturbed")
    folder = tmp_path / "run"
    with started_cluster(2, num_cpus=1) as nodes:
        run = started_run(folder)
        for sign in _SIGNS:
            replace_a_node_at(sign, folder, nodes, run)
        summary = finished(run, folder)
    assert [mixture for mixture, _ in learnt(summary)] == [mixture for mixture, _ in learnt(undisturbed)]
    assert [loss for _, loss in learnt(summary)] == pytest.approx([loss for _, loss in learnt(undisturbed)], abs=1e-4)
