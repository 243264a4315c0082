"""Losses on a cluster of several raylets: whatever goes, a run ends with the same mixtures; one run has all losses."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cluster.conftest import FakeRun, Nodes

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]


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


def lose_the_submitter(run: FakeRun, submitter: subprocess.Popen[str]) -> None:
    """While the teacher samples; the run goes on by itself."""
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 2)
    submitter.send_signal(signal.SIGKILL)
    submitter.wait()
    assert "rollouts_teacher" not in run.committed()


def lose_a_worker_and_another(nodes: Nodes, run: FakeRun, driver: str) -> None:
    """Nodes without the driver: one while the teacher samples, one after, while the student learns or is evaluated."""
    nodes.kill(next(one for one in nodes.workers if one.node_id != driver))
    nodes.add()
    run.wait_for(lambda: "mixture_00" in run.committed())
    nodes.kill(next(one for one in nodes.workers if one.node_id != driver))
    nodes.add()


def lose_the_driver(nodes: Nodes, run: FakeRun) -> None:
    """With its node, while the student samples, and again wherever it comes up on a node that can go."""
    run.wait_for(lambda: run.num_parts("rollouts/iteration_01") > 2)
    first = node_of_driver(run)
    assert "rollouts_01" not in run.committed()
    nodes.kill(node(nodes, first))
    run.wait_for(lambda: node_of_driver(run) != first)
    second = node_of_driver(run)
    if any(one.node_id == second for one in nodes.workers):
        nodes.kill(node(nodes, second))
    nodes.be(2)


def test_a_run_that_loses_everything_once_ends_as_if_nothing_had_been(
    nodes: Nodes, run: FakeRun, undisturbed: FakeRun
) -> None:
    nodes.be(3)
    with run.held("rollouts_teacher"):
        lose_the_submitter(run, run.submit(node_id=nodes.workers[0].node_id))
    driver = node_of_driver(run)
    assert driver == nodes.workers[0].node_id
    joined = run.submit()
    with run.held("rollouts_01"):
        lose_a_worker_and_another(nodes, run, driver)
        run.wait_for(lambda: "evaluation_00" in run.committed())
        assert run.stages_shown().count("teacher samples") == 1, "one driver, joined by the second command"
        lose_the_driver(nodes, run)
    run.wait_for(lambda: "driver started again after a loss" in run.stages_shown())
    assert joined.poll() is None, "it goes on watching"

    run.wait_for(lambda: "mixture_02" in run.committed())
    joined.send_signal(signal.SIGTERM)
    assert ended(joined) != 0
    assert run.read("progress.json")["state"] == "stopped" and not run.finished()
    committed = run.committed()

    assert ended(run.submit()) == 0
    assert run.finished() and run.mixtures() == undisturbed.mixtures()
    resumed = {one["name"] for one in run.read("summary.json")["stages"] if one["resumed"]}
    assert committed <= resumed
