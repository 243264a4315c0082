"""Nothing waits for ever: a stage that cannot be placed says what is missing, and one that can goes on."""

import json
from typing import Any

import pytest

from siked_ray.capacity.await_capacity import StagePlacement, release_nodes
from siked_ray.config import load_config
from siked_ray.errors import PlacementError
from tests.cluster.conftest import FakeRun, Nodes

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


def test_a_run_whose_stage_has_no_place_says_what_is_missing(nodes: Nodes, run: FakeRun) -> None:
    process = run.submit("engine.gpus_per_engine=4", "cluster.placement_timeout_s=3")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    for words in (
        "1 engine(s) could not be placed within 3 s",
        "no node has 4 GPU (the most is 0)",
        "The autoscaler says",
    ):
        assert words in output
    assert run.read("summary.json")["status"] == "failed"
    assert "no node has 4 GPU" in run.read("progress.json")["note"]


def test_a_stage_waits_for_the_node_that_it_needs(nodes: Nodes, run: FakeRun) -> None:
    process = run.submit("cluster.training_resources={late: 1}")
    run.wait_for(lambda: "mixture_00" in run.committed())
    run.wait_for(lambda: "waiting for nodes: 1 training worker(s)" in run.stages_shown())
    assert "training_00" not in run.committed()
    nodes.add(late=1)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


class Board:
    def __init__(self) -> None:
        self.ends: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.ends.append((name, *arguments))


class Engines:
    """None are up."""

    student_is_up = False

    def make_room_for_training(self) -> None: ...

    def close(self) -> None: ...


class KeptEngines:
    """Actors of one CPU each that are kept while training runs."""

    def __init__(self, actors: list[Any]) -> None:
        self._actors = actors

    @property
    def student_is_up(self) -> bool:
        return bool(self._actors)

    def make_room_for_training(self) -> None: ...

    def close(self) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


@pytest.fixture
def connected(nodes: Nodes) -> Any:
    import ray

    ray.init(address=nodes.cluster.address, log_to_driver=False)
    yield ray
    ray.shutdown()


def placement(run: FakeRun, *overrides: str, engines: Any = None) -> StagePlacement:
    teacher = "teacher={source: vllm, model: 'world:teacher'}"
    config = load_config(run.settings, [teacher, "cluster.placement_timeout_s=2", *overrides])
    return StagePlacement(config, Board(), engines or Engines())


@pytest.fixture
def one_cpu_each(connected: Any) -> list[Any]:
    """Actors that fill the cluster."""

    @connected.remote(num_cpus=1)
    class Holder:
        def up(self) -> bool:
            return True

    actors = [Holder.remote() for _ in range(int(connected.cluster_resources()["CPU"]))]
    connected.get([actor.up.remote() for actor in actors])
    return actors


def test_engines_may_fill_the_cluster_and_no_more(nodes: Nodes, run: FakeRun, connected: Any) -> None:
    total = int(connected.cluster_resources()["CPU"])
    placement(run, f"engine.num_engines={total}", "engine.cpus_per_engine=1").before_sampling("student")
    with pytest.raises(PlacementError, match="1 more CPU are needed"):
        placement(run, f"engine.num_engines={total + 1}", "engine.cpus_per_engine=1").before_sampling("student")


def test_what_others_hold_is_waited_for_and_named(run: FakeRun, connected: Any, one_cpu_each: list[Any]) -> None:
    with pytest.raises(PlacementError, match="1 CPU are taken by something else"):
        placement(run, "training.num_workers=1").before_training()
    for other in one_cpu_each:
        connected.kill(other)


def test_engines_that_were_to_stay_beside_training_give_way_when_a_node_was_lost(
    run: FakeRun, one_cpu_each: list[Any]
) -> None:
    engines = KeptEngines(one_cpu_each)
    placement(run, "training.num_workers=1", "cluster.placement_timeout_s=30", engines=engines).before_training()
    assert not engines.student_is_up


def test_the_autoscaler_is_told_what_a_stage_needs(nodes: Nodes, run: FakeRun, connected: Any) -> None:
    """Where no autoscaler runs, the demand that it would see is what can be looked at."""
    from ray.experimental.internal_kv import _internal_kv_get

    with pytest.raises(PlacementError):
        placement(run, "engine.num_engines=2", "engine.gpus_per_engine=4").before_sampling("student")
    assert json.loads(_internal_kv_get("autoscaler_resource_request")) == [{"CPU": 1, "GPU": 4}] * 2
    release_nodes()
    assert json.loads(_internal_kv_get("autoscaler_resource_request")) == []
