"""Which nodes a stage calls up: what Ray's autoscaler would decide, as a pure function."""

from collections.abc import Sequence
from dataclasses import dataclass

from siked_ray.capacity.bundles import (
    engines_demand,
    fits,
    missing,
    pack,
    take,
    training_demand,
)
from siked_ray.capacity.cluster_file import NodeGroup
from siked_ray.config import Config
from siked_ray.core.demand import Bundle, Demand
from siked_ray.settings import STUDENT
from siked_ray.sources import sampled


@dataclass(frozen=True, kw_only=True, slots=True)
class CalledUp:
    """Nodes that a demand wants beyond those that are always there, by group, and what no group can give (a phrase,
    empty when everything fits)."""

    nodes: dict[str, int]
    lacking: str


def call_up(bundles: Sequence[Bundle], groups: Sequence[NodeGroup]) -> CalledUp:
    """Fill the nodes that are there, then add nodes one by one, as Ray's autoscaler does: each time of the group that
    the bundles which still wait would use best."""
    waiting, _ = pack(bundles, [group.resources for group in groups for _ in range(group.min_nodes)])
    left = {group.name: group.max_nodes - group.min_nodes for group in groups}
    added: dict[str, int] = {}
    while waiting:
        scored = [(score, group) for group in groups if left[group.name] > 0 and (score := _use(group, waiting))]
        if not scored:
            return CalledUp(nodes=added, lacking=_lacking(bundles, groups))
        _, best = max(scored, key=lambda one: (one[0], one[1].name))
        left[best.name] -= 1
        added[best.name] = added.get(best.name, 0) + 1
        waiting, _ = pack(waiting, [best.resources])
    return CalledUp(nodes=added, lacking="")


def stages_on(config: Config, groups: Sequence[NodeGroup]) -> dict[str, tuple[Demand, CalledUp]]:
    """What each kind of stage asks for and calls up."""
    demands = {f"{source.part.key}'s sampling": source.engines.demand() for source in sampled(config)}
    demands["sampling and evaluation"] = engines_demand(config, STUDENT)
    demands["training"] = training_demand(config)
    return {title: (demand, call_up(demand.bundles, groups)) for title, demand in demands.items()}


def _use(group: NodeGroup, waiting: Sequence[Bundle]) -> tuple[bool, int, float, float] | None:
    """How well a new node would be used, None when no bundle fits; the larger the better: no GPU is wasted on what
    needs none, many kinds of resources are wanted, the least used of them is used much, and so are all on average.

    The score of ray.autoscaler._private.resource_demand_scheduler (Ray 2.60).
    """
    free = dict(group.resources)
    num_fitting = 0
    for bundle in waiting:
        if fits(bundle, free):
            take(bundle, free)
            num_fitting += 1
    whole = {name: amount for name, amount in group.resources.items() if amount >= 1}
    if not num_fitting or not whole:
        return None
    wanted = {name for bundle in waiting for name, amount in bundle.items() if amount > 0}
    used = [amount * ((amount - free[name]) / amount) ** 3 for name, amount in whole.items()]
    wastes_gpus = group.resources.get("GPU", 0) > 0 and not any("GPU" in bundle for bundle in waiting)
    return not wastes_gpus, len(wanted & whole.keys()), min(used), sum(used) / len(used)


def _lacking(bundles: Sequence[Bundle], groups: Sequence[NodeGroup]) -> str:
    """What is missing with all groups at their maximum."""
    most = [group.resources for group in groups for _ in range(min(group.max_nodes, group.min_nodes + len(bundles)))]
    return missing(bundles, most) or "the groups' maximum of nodes is reached"
