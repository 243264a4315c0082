"""The driver belongs to the cluster: it outlives the process that submitted the run, and its own node."""

import signal
from collections.abc import Callable

import pytest

from tests.cluster.conftest import FakeRun, Nodes

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


def test_a_run_finishes_without_the_process_that_submitted_it(nodes: Nodes, make_run: Callable[[str], FakeRun]) -> None:
    undisturbed = make_run("undisturbed")
    process = undisturbed.submit()
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert undisturbed.finished()

    run = make_run("abandoned")
    process = run.submit()
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "rollouts_teacher" not in run.committed()
    run.wait_for(run.finished)
    assert run.mixtures() == undisturbed.mixtures()
