"""What stages ask for, and what is said when it is not there."""

from hypothesis import given
from hypothesis import strategies as st

from siked_ray.capacity.bundles import engines_demand, missing, pack, total, training_demand
from siked_ray.capacity.engine_specs import cpus_wanted, gpus_wanted
from siked_ray.settings import STUDENT
from siked_ray.sources.server_client import CLIENT


def test_engines_may_fill_a_cluster_exactly(make_config) -> None:
    config = make_config("engine.num_engines=2", "engine.cpus_per_engine=1")
    bundles = engines_demand(config, STUDENT).bundles
    assert bundles == ({"CPU": 1}, {"CPU": 1})
    assert missing(bundles, [{"CPU": 2}]) == ""


def test_a_pool_that_grows_asks_for_its_least_and_the_teacher_for_its_own(make_config) -> None:
    config = make_config(
        "engine.num_engines=[2, 8]",
        "teacher={source: vllm, model: 'world:teacher', engine: {num_engines: 1, gpus_per_engine: 4}}",
        "teacher.strategies={pot: {source: openai, model: big}}",
    )
    assert engines_demand(config, STUDENT).bundles == ({"CPU": 1},) * 2
    assert engines_demand(config, "teacher").bundles == ({"CPU": 1, "GPU": 4},)
    assert engines_demand(config, "teacher.pot").bundles == (CLIENT,)
    assert cpus_wanted(config) == 2 + 1 + 1


def test_custom_resources_are_part_of_a_bundle(make_config) -> None:
    config = make_config(
        "cluster.generation_resources={generation: 1}",
        "cluster.training_resources={training: 0.5}",
        "engine.gpus_per_engine=2",
        "training.num_workers=3",
    )
    assert engines_demand(config, STUDENT).bundles[0] == {"CPU": 1, "GPU": 2, "generation": 1}
    assert training_demand(config).bundles == ({"CPU": 1, "training": 0.5},) * 3
    assert missing(training_demand(config).bundles, [{"CPU": 8, "training": 1}]).startswith("0.5 more training")


def test_a_bundle_is_never_split_over_nodes() -> None:
    assert missing([{"GPU": 4}], [{"GPU": 2}, {"GPU": 2}]) == "no node has 4 GPU (the most is 2)"
    assert missing([{"GPU": 2}] * 3, [{"GPU": 3}, {"GPU": 3}]) == "2 more GPU are needed (1 x 2 GPU)"
    assert "no node has 2 CPU + 2 GPU free at once" in missing(
        [{"CPU": 2, "GPU": 2}], [{"CPU": 1, "GPU": 2}, {"CPU": 2, "GPU": 1}]
    )
    assert missing([{"GPU": 1}], []) == "no node has 1 GPU (the most is 0)"


def test_what_both_want_side_by_side(make_config) -> None:
    config = make_config("engine.num_engines=2", "training.num_workers=2", "training.gpus_per_worker=1")
    assert (cpus_wanted(config), gpus_wanted(config)) == (5, 2)


@given(
    st.lists(st.fixed_dictionaries({"CPU": st.integers(0, 4), "GPU": st.integers(0, 4)}), max_size=8),
    st.lists(st.fixed_dictionaries({"CPU": st.integers(0, 8), "GPU": st.integers(0, 8)}), max_size=5),
)
def test_packing_loses_nothing_and_overdraws_nothing(bundles, nodes) -> None:
    homeless, free = pack(bundles, nodes)
    assert all(amount >= 0 for node in free for amount in node.values())
    placed = {name: total(nodes).get(name, 0) - total(free).get(name, 0) for name in ("CPU", "GPU")}
    wanted = {name: total(bundles).get(name, 0) - total(homeless).get(name, 0) for name in ("CPU", "GPU")}
    assert placed == wanted
    assert (missing(bundles, nodes) == "") == (not homeless)
