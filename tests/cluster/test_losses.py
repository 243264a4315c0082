"""Losses on a cluster of several raylets: whatever goes, the run ends with the same mixtures."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cluster.conftest import FakeRun, Nodes

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(400)]


def ended(process: subprocess.Popen[str]) -> int:
    output, _ = process.communicate(timeout=180)
    print(output)
    return process.returncode


def node_of_driver(run: FakeRun) -> str:
    """Asked in a process of its own: this one stays unconnected."""
    code = (
        "import ray, sys; ray.init(namespace='siked', log_to_driver=False, logging_level='ERROR')\n"
        f"actor = ray.get_actor('driver of {run.folder}')\n"
        "from ray._private.state import actors\n"
        "print(actors(actor._actor_id.hex())['Address']['NodeID'])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return answer.stdout.split()[-1]


def node(nodes: Nodes, node_id: str) -> Any:
    return next(one for one in nodes.workers if one.node_id == node_id)


def test_a_run_goes_on_without_the_process_that_submitted_it_and_can_be_joined(
    nodes: Nodes, run: FakeRun, undisturbed: FakeRun
) -> None:
    first = run.submit()
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert "rollouts_teacher" not in run.committed()
    run.wait_for(lambda: "training_00" in run.committed())
    assert ended(run.submit()) == 0
    assert run.finished() and run.mixtures() == undisturbed.mixtures()
    assert run.stages_shown().count("teacher samples") == 1, "one driver, joined by the second command"


def test_worker_nodes_are_lost_and_one_is_added(nodes: Nodes, run: FakeRun, undisturbed: FakeRun) -> None:
    nodes.be(2)
    process = run.submit()
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 2)
    nodes.kill(nodes.workers[0])
    run.wait_for(lambda: "mixture_00" in run.committed())
    nodes.add()
    nodes.kill(nodes.workers[0])
    run.wait_for(lambda: "training_00" in run.committed())
    assert ended(process) == 0
    assert run.mixtures() == undisturbed.mixtures()


def test_the_node_of_the_driver_is_lost(nodes: Nodes, run: FakeRun, undisturbed: FakeRun) -> None:
    """While sampling and while training; the submitting process goes on watching."""
    nodes.be(3)
    process = run.submit(node_id=nodes.workers[0].node_id)
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 2)
    first = node_of_driver(run)
    assert first == nodes.workers[0].node_id
    nodes.kill(node(nodes, first))
    run.wait_for(lambda: node_of_driver(run) != first)
    second = node_of_driver(run)
    if any(one.node_id == second for one in nodes.workers):
        nodes.kill(node(nodes, second))
    assert ended(process) == 0
    assert run.mixtures() == undisturbed.mixtures()
    assert "driver started again after a loss" in run.stages_shown()


def test_a_run_that_is_told_to_stop_stops_and_continues(nodes: Nodes, run: FakeRun, undisturbed: FakeRun) -> None:
    nodes.be(2)
    process = run.submit()
    run.wait_for(lambda: "mixture_00" in run.committed())
    process.send_signal(signal.SIGTERM)
    assert ended(process) != 0
    assert run.read("progress.json")["state"] == "stopped"
    committed = run.committed()
    assert not run.finished()
    assert ended(run.submit()) == 0
    assert run.mixtures() == undisturbed.mixtures()
    resumed = {one["name"] for one in run.read("summary.json")["stages"] if one["resumed"]}
    assert committed <= resumed
