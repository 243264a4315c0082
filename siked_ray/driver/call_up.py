"""Which nodes a stage calls up: what Ray's autoscaler would decide, as a pure function."""

from collections.abc import Sequence
from dataclasses import dataclass

from siked_ray.config import Config
from siked_ray.driver.cluster_file import NodeGroup
from siked_ray.driver.demand import STUDENT, Bundle, Demand, engines_demand, fits, missing, pack, take, training_demand


@dataclass(frozen=True, kw_only=True, slots=True)
class CalledUp:
    """Nodes that a demand wants beyond those that are always there, by group, and what no group can give (a phrase,
    empty when everything fits)."""

    nodes: dict[str, int]
    lacking: str


def call_up(bundles: Sequence[Bundle], groups: Sequence[NodeGroup]) -> CalledUp:
    """Fill the nodes that are there, then add nodes one by one, each of the group that a bundle wastes least of."""
    there = [dict(group.resources) for group in groups for _ in range(group.min_nodes)]
    waiting, _ = pack(bundles, there)
    left = {group.name: group.max_nodes - group.min_nodes for group in groups}
    added: list[tuple[str, dict[str, float]]] = []
    homeless = False
    for bundle in waiting:
        node = next((node for _, node in added if fits(bundle, node)), None)
        if node is None:
            possible = [group for group in groups if left[group.name] > 0 and fits(bundle, group.resources)]
            if not possible:
                homeless = True
                continue
            group = min(possible, key=lambda group: _waste(bundle, group))
            left[group.name] -= 1
            node = dict(group.resources)
            added.append((group.name, node))
        take(bundle, node)
    names = [name for name, _ in added]
    return CalledUp(
        nodes={name: names.count(name) for name in dict.fromkeys(names)},
        lacking=_lacking(bundles, groups) if homeless else "",
    )


def stages_on(config: Config, groups: Sequence[NodeGroup]) -> dict[str, tuple[Demand, CalledUp]]:
    """What each kind of stage asks for and calls up."""
    demands = {
        f"{part.key}'s sampling": engines_demand(config, part.key)
        for part in config.teacher_parts()
        if part.source.is_sampled
    }
    demands["sampling and evaluation"] = engines_demand(config, STUDENT)
    demands["training"] = training_demand(config)
    return {title: (demand, call_up(demand.bundles, groups)) for title, demand in demands.items()}


def _waste(bundle: Bundle, group: NodeGroup) -> tuple[bool, float, float]:
    """A GPU node for what needs none comes last; then the node that is left with the fewest GPUs and CPUs."""
    gpus, cpus = group.resources.get("GPU", 0.0), group.resources.get("CPU", 0.0)
    idle_gpus = gpus - bundle.get("GPU", 0.0)
    return gpus > 0 and not bundle.get("GPU"), idle_gpus, cpus - bundle.get("CPU", 0.0)


def _lacking(bundles: Sequence[Bundle], groups: Sequence[NodeGroup]) -> str:
    """What is missing with all groups at their maximum."""
    most = [group.resources for group in groups for _ in range(min(group.max_nodes, group.min_nodes + len(bundles)))]
    return missing(bundles, most) or "the groups' maximum of nodes is reached"
