"""Nodes under notice of preemption: nothing new goes there, and what was trained is in a checkpoint before they go."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from siked_ray.data.storage import Storage
from siked_ray.generation.calls import RowsToDo
from siked_ray.generation.dispatch import Dispatch
from siked_ray.generation.durable import compact
from siked_ray.generation.pool import EnginePool
from siked_ray.generation.rendering import request_blocks
from siked_ray.generation.requests import missing_requests
from tests.cluster.conftest import ROOT, Nodes, started_cluster
from tests.generation.conftest import (
    FunctionEngine,
    make_asks,
    make_sink,
    make_size,
    make_spec,
    make_task,
    write_problems,
)
from tests.training.trained import Board

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(400)]

TRAINING = """
import sys; from pathlib import Path
import ray
from siked_ray.core.training_plan import TrainingPlan
from tests.training.deepspeed_runs import plan_values
from tests.training.trained import group, train_small
ray.init(namespace="test", log_to_driver=False, logging_level="ERROR")
plan = TrainingPlan(**plan_values(epochs=400, rows_per_step=2, micro_batch_size=1, zero_stage=2))
train_small(Path(sys.argv[1]), sys.argv[2], plan, group(checkpoint_interval_s=10_000.0), ray.get_actor("board"))
"""


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A head and two nodes of one CPU; this process is connected."""
    import ray

    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.5")
    with started_cluster(2, num_cpus=1) as nodes:
        ray.init(address=nodes.cluster.address, log_to_driver=False, logging_level="ERROR")
        yield nodes


def node_that_may_go(nodes: Nodes) -> Any:
    """A node that this process is not connected through."""
    import ray

    return next(node for node in nodes.workers if node.node_id != ray.get_runtime_context().get_node_id())


def nodes_of_engines(pool: EnginePool) -> set[str]:
    """Nodes with an engine that is up."""
    return {facts.node_id for engine in pool._engines if (facts := engine.facts) is not None}


def drain(nodes: Nodes, node: Any, seconds: int) -> None:
    """What a spot instance's notice becomes: the node is drained, and gone at the deadline."""
    command = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", nodes.cluster.address]
    notice = ["--node-id", node.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
    subprocess.run([*command, *notice, "--deadline-remaining-seconds", str(seconds)], check=True, timeout=60)


def test_engines_leave_a_draining_node_without_losing_a_row(nodes: Nodes, tmp_path: Path):
    storage, sink = Storage(str(tmp_path / "run")), make_sink(Storage(str(tmp_path / "run")))
    name = write_problems(storage, "train", [f"how many, {i}?" for i in range(2000)])
    asks = make_asks(name)
    blocks, num_rows = missing_requests(storage, asks, set())
    spec = replace(make_spec(partial(FunctionEngine, folder=str(tmp_path), seconds=0.2)), samples_in_flight=16)
    size = replace(make_size(2, 2), cpus_per_engine=1.0)
    pool = EnginePool("student", spec, size, name="student", log_dir=str(tmp_path))
    dispatch = Dispatch(pool, make_task(), sink, RowsToDo(request_blocks(storage, asks, blocks, None), num_rows))
    sampling = threading.Thread(target=dispatch.run)
    sampling.start()
    while len(nodes_of_engines(pool)) < 2:
        time.sleep(0.1)
    leaving = node_that_may_go(nodes)
    drain(nodes, leaving, 120)
    nodes.add()
    while len(now := nodes_of_engines(pool)) < 2 or leaving.node_id in now:
        assert sampling.is_alive(), "the engine is up elsewhere while there is work"
        time.sleep(0.1)
    nodes.kill(leaving)
    (tmp_path / "hurry").touch()
    sampling.join()
    pool.close()
    assert dispatch.num_losses == 0
    rows = storage.read_parquet(compact(sink)).to_pylist()
    assert len({(row["problem_id"], row["requested"]) for row in rows}) == num_rows


def test_training_takes_a_checkpoint_before_a_node_goes(
    nodes: Nodes, tiny_model: str, tmp_path: Path, request: pytest.FixtureRequest
):
    """The stage is far longer than the test, which ends once it has seen it go on elsewhere."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    stays = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=stays, name="board", namespace="test").remote()
    command = [sys.executable, "-c", TRAINING, str(tmp_path), tiny_model]
    training = subprocess.Popen(command, cwd=ROOT)  # a process that can be cut off
    request.addfinalizer(training.kill)
    while ray.get(board.step.remote()) < 20:
        assert training.poll() is None
        time.sleep(0.1)
    leaving = node_that_may_go(nodes)
    drain(nodes, leaving, 120)
    nodes.add()
    while not (checkpoints := sorted(tmp_path.glob("checkpoints/student-*/step_*"))):
        assert training.poll() is None
        time.sleep(0.1)
    kept = int(checkpoints[0].name.split("_")[1])
    time.sleep(3)  # Ray Train writes down that it is complete
    before = ray.get(board.step.remote())
    nodes.kill(leaving)
    while (now := ray.get(board.step.remote())) >= before:
        assert training.poll() is None
        before = now
        time.sleep(0.02)
    assert kept < now < before, "on from the checkpoint, which no interval asked for"
