"""Recipe smart on raylets with a fake engine: the driver's node is lost between the attempts of an iteration."""

import pytest

from tests.cluster.conftest import FakeRun, Nodes, make_fake_run
from tests.cluster.test_losses import ended, node, node_of_driver

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]
SMART = ("recipe=smart", "strategies=[cot, l2m, pot]", "iterations.max=1")


@pytest.fixture
def whole(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """The same run without a loss."""
    run = make_fake_run(tmp_path_factory.mktemp("whole") / "fake")
    assert ended(run.submit(*SMART)) == 0
    return run


def test_it_goes_on_within_the_attempt(nodes: Nodes, run: FakeRun, whole: FakeRun) -> None:
    nodes.be(3)
    with run.held("rollouts_01_try_2"):
        process = run.submit(*SMART, node_id=nodes.workers[0].node_id)
        run.wait_for(lambda: run.num_parts("rollouts/01_try_2") > 2)
        driver = node_of_driver(run)
        assert "rollouts_01_try_1" in run.committed() and "rollouts_01_try_2" not in run.committed()
        nodes.kill(node(nodes, driver))
        run.wait_for(lambda: node_of_driver(run) != driver)
    assert ended(process) == 0
    assert run.finished() and run.mixtures() == whole.mixtures()
    assert run.read("summary.json")["smart"] == whole.read("summary.json")["smart"]
