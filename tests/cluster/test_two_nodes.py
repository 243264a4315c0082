"""The smoke job, real vLLM and DeepSpeed, across two nodes that both go while an iteration is under way: its mixture
and loss are those of the same iteration on one machine, undisturbed."""

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


def started_run(folder: Path, *overrides: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "siked_ray", "run", "jobs/smoke.yaml", f"run_dir={folder}"]
    command += [f"training.epochs={_EPOCHS}", *overrides]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(run: "subprocess.Popen[str]", folder: Path) -> dict[str, Any]:
    output, _ = run.communicate(timeout=_RUN_TIMEOUT_S)
    assert run.returncode == 0, output
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    return summary


def learnt(summary: dict[str, Any]) -> tuple[str, float]:
    """What was trained on in the last iteration, and where the loss ended."""
    last = summary["iterations"][-1]
    assert last["iteration"] == 1
    return last["mixture"]["sha256"], last["training"]["last_loss"]


def replace_a_node_at(sign: str, folder: Path, nodes: Nodes, run: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _RUN_TIMEOUT_S
    while not any(folder.glob(_SIGNS[sign])):
        assert run.poll() is None and time.monotonic() < deadline, f"never seen: {sign}"
        time.sleep(0.1)
    nodes.kill(nodes.workers[0])
    nodes.add()


def test_nodes_with_engines_and_with_training_workers_are_lost(tmp_path: Path) -> None:
    """One CPU per node, so that an engine, and then a training worker, has to be on either. What comes before the first
    loss is taken over by the undisturbed run, which makes the iteration anew."""
    folder, alone = tmp_path / "run", tmp_path / "undisturbed"
    with started_cluster(2, num_cpus=1) as nodes:
        run = started_run(folder)
        for sign in _SIGNS:
            replace_a_node_at(sign, folder, nodes, run)
        mixture, loss = learnt(finished(run, folder))
    undisturbed = finished(started_run(alone, f"start_from={folder}:0"), alone)
    made_anew = {stage["name"] for stage in undisturbed["stages"] if not stage["resumed"]}
    assert {"rollouts_01", "mixture_01", "training_01"} <= made_anew
    assert learnt(undisturbed) == (mixture, pytest.approx(loss, abs=1e-4))
