"""Which nodes a demand calls up, compared with what Ray's own autoscaler decides."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_ray.capacity.autoscaler import call_up
from siked_ray.capacity.bundles import pack
from siked_ray.capacity.cluster_file import NodeGroup, read_cluster
from siked_ray.errors import ConfigError


def group(name: str, most: int, fewest: int = 0, **resources: float) -> NodeGroup:
    return NodeGroup(name=name, resources=resources, min_nodes=fewest, max_nodes=most)


HEAD = group("head", 1, 1, CPU=0)
GROUPS = [HEAD, group("large", 2, CPU=16, GPU=4), group("small", 4, CPU=8, GPU=1), group("cpu", 3, CPU=8)]


def test_a_demand_calls_up_the_group_that_wastes_least() -> None:
    assert call_up([{"CPU": 4, "GPU": 4}], GROUPS).nodes == {"large": 1}
    assert call_up([{"CPU": 4, "GPU": 1}], GROUPS).nodes == {"small": 1}
    assert call_up([{"CPU": 4}], GROUPS).nodes == {"cpu": 1}


def test_small_demands_share_the_nodes_that_large_ones_call_up() -> None:
    called = call_up([{"CPU": 4, "GPU": 4}, {"CPU": 0.1}, {"CPU": 8}], GROUPS)
    assert (called.nodes, called.lacking) == ({"large": 1}, "")


def test_nodes_that_are_there_are_used_first() -> None:
    there = [HEAD, group("static", 2, 2, CPU=4, GPU=1)]
    assert call_up([{"GPU": 1}, {"GPU": 1}], there).nodes == {}
    assert "1 more GPU" in call_up([{"GPU": 1}] * 3, there).lacking


def test_what_is_missing_is_named() -> None:
    assert call_up([{"GPU": 8}], GROUPS).lacking == "no node has 8 GPU (the most is 4)"
    assert "12 more GPU are needed (3 x 4 GPU)" in call_up([{"GPU": 4}] * 5, GROUPS).lacking
    assert call_up([{"CPU": 1, "tpu": 1}], GROUPS).lacking == "no node has 1 tpu (the most is 0)"
    assert call_up([{"CPU": 16}] * 2 + [{"CPU": 1, "GPU": 4}], GROUPS).lacking != "", (
        "each finds a place, not all of them"
    )


bundles = st.lists(
    st.fixed_dictionaries({"CPU": st.sampled_from([0.5, 1, 4, 8])}, optional={"GPU": st.sampled_from([1, 2, 4])}),
    min_size=1,
    max_size=8,
)


@given(bundles)
@settings(max_examples=200, deadline=None)
def test_rays_autoscaler_calls_up_the_same_nodes(demand: list[dict[str, float]]) -> None:
    from ray.autoscaler._private.node_provider_availability_tracker import NodeAvailabilitySummary
    from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer, get_nodes_for

    def scorer(node, wanted, name):
        return _default_utilization_scorer(node, wanted, name, node_availability_summary=NodeAvailabilitySummary({}))

    types = {one.name: {"resources": dict(one.resources), "max_workers": one.max_nodes} for one in GROUPS[1:]}
    waiting, _ = pack(demand, [])
    rays, left_over = get_nodes_for(types, {}, "head", 100, waiting, scorer)
    ours = call_up(demand, GROUPS)
    assert (ours.nodes, bool(ours.lacking)) == (dict(rays), bool(left_over))


def test_slurm_scripts_are_an_allocation(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH --nodes=3\n#SBATCH --cpus-per-task 8\n#SBATCH --gres=gpu:a100:2\n"
    )
    (allocation,) = read_cluster(str(tmp_path / "job.sh"))
    assert (allocation.min_nodes, allocation.max_nodes) == (3, 3)
    assert allocation.resources == {"CPU": 8, "GPU": 2}


@pytest.mark.parametrize(
    ("option", "nodes", "gpus"),
    [
        ("--nodes=2-4", 2, 0),
        ("--gres=gpu", 1, 1),
        ("--gres=gpu:a100", 1, 1),
        ("--gres=gpu:a100:2,gpu:h100:1,shard:8", 1, 3),
        ("--gpus-per-node=a100:4", 1, 4),
        ("--gpus-per-node=8", 1, 8),
    ],
)
def test_slurm_scripts_count_what_is_certain(option: str, nodes: int, gpus: int, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text(f"#SBATCH {option}\n")
    (allocation,) = read_cluster(str(tmp_path / "job.sh"))
    assert (allocation.min_nodes, allocation.max_nodes, allocation.resources["GPU"]) == (nodes, nodes, gpus)


def test_a_cluster_without_autoscaling_has_what_it_has(tmp_path: Path) -> None:
    container = "containers: [{name: ray, resources: {limits: {cpu: 1500m, nvidia.com/gpu: 2}}}]"
    (tmp_path / "fixed.yaml").write_text(
        f"""
kind: RayCluster
spec:
  headGroupSpec: {{rayStartParams: {{num-cpus: "0"}}, template: {{spec: {{{container}}}}}}}
  workerGroupSpecs:
    - groupName: fixed
      replicas: 2
      maxReplicas: 9
      numOfHosts: 2
      rayStartParams: {{resources: '"{{\\"engine\\": 3}}"'}}
      template: {{spec: {{{container}}}}}
"""
    )
    head, fixed = read_cluster(str(tmp_path / "fixed.yaml"))
    assert (head.resources["CPU"], head.resources["GPU"]) == (0, 2)
    assert (fixed.min_nodes, fixed.max_nodes) == (4, 4)
    assert fixed.resources == {"CPU": 1.5, "GPU": 2, "engine": 3}


@pytest.mark.parametrize(
    "text", ["#SBATCH --nodes=all", "a: 1", "kind: RayCluster\nspec: {}", "kind: [", "available_node_types: {a: {}}"]
)
def test_what_is_no_cluster_definition_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"--cluster: .*broken\.yaml"):
        read_cluster(str(tmp_path / "broken.yaml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cluster(str(tmp_path / "gone.yaml"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cluster\.yaml is no UTF-8 text"):
        read_cluster(str(tmp_path / "cluster.yaml"))


def test_a_node_type_without_resources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "aws.yaml").write_text("head_node_type: a\navailable_node_types: {a: {node_config: {}}}")
    with pytest.raises(ConfigError, match="node type a has no resources"):
        read_cluster(str(tmp_path / "aws.yaml"))
