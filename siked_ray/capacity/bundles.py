"""What the stages ask of a cluster, and whether nodes can give it: pure functions over plain numbers.

A bundle cannot be split over nodes.
"""

from collections.abc import Iterable, Sequence

from siked_ray.config import Config
from siked_ray.core.demand import Bundle, Demand, bundle_of
from siked_ray.sources import engines_of

_EPSILON = 1e-6


def engines_demand(config: Config, key: str) -> Demand:
    """The least with which the student, or a part of the teacher, can be sampled."""
    return engines_of(config, key).demand()


def training_demand(config: Config) -> Demand:
    """The gang of training workers."""
    training = config.training
    bundle = bundle_of(training.cpus_per_worker, training.gpus_per_worker, config.cluster.training_resources)
    return Demand(
        what=f"{training.min_workers} training worker(s)",
        bundles=tuple(bundle for _ in range(training.min_workers)),
        settings="training.num_workers, training.cpus_per_worker or training.gpus_per_worker",
    )


def pack(bundles: Iterable[Bundle], nodes: Sequence[Bundle]) -> tuple[list[Bundle], list[dict[str, float]]]:
    """First fit in the order of Ray's autoscaler, bundles of many kinds of resources first, then heavy ones: those
    that found no node, and what is left on each node."""
    ordered = sorted(bundles, key=lambda one: (len(one), sum(one.values()), sorted(one.items())), reverse=True)
    free = [dict(node) for node in nodes]
    homeless = []
    for bundle in ordered:
        home = next((node for node in free if fits(bundle, node)), None)
        if home is None:
            homeless.append(bundle)
        else:
            take(bundle, home)
    return homeless, free


def fits(bundle: Bundle, node: Bundle) -> bool:
    """True when a node has what a bundle asks for."""
    return all(node.get(name, 0.0) + _EPSILON >= amount for name, amount in bundle.items())


def take(bundle: Bundle, node: dict[str, float]) -> None:
    """Reserve a bundle on a node."""
    for name, amount in bundle.items():
        node[name] = node.get(name, 0.0) - amount


def missing(bundles: Sequence[Bundle], nodes: Sequence[Bundle]) -> str:
    """Which resource is missing for bundles, as a phrase; empty when all of them find a place."""
    homeless, free = pack(bundles, nodes)
    if not homeless:
        return ""
    return "; ".join(dict.fromkeys(_why_not(bundle, homeless, nodes, free) for bundle in homeless))


def shown(bundle: Bundle) -> str:
    """A bundle as text: "4 CPU + 1 GPU"."""
    return " + ".join(f"{amount:g} {name}" for name, amount in bundle.items() if amount) or "nothing"


def total(bundles: Iterable[Bundle]) -> dict[str, float]:
    """Sum of bundles, resource by resource."""
    sums: dict[str, float] = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            sums[name] = sums.get(name, 0.0) + amount
    return sums


def _why_not(bundle: Bundle, homeless: Sequence[Bundle], nodes: Sequence[Bundle], free: Sequence[Bundle]) -> str:
    """The first resource that no node has enough of at all, else the one that has run out."""
    for name, amount in bundle.items():
        largest = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if amount > largest + _EPSILON:
            return f"no node has {amount:g} {name} (the most is {largest:g})"
    count = sum(other == bundle for other in homeless)
    for name, amount in bundle.items():
        if all(node.get(name, 0.0) + _EPSILON < amount for node in free):
            return f"{count * amount:g} more {name} are needed ({count} x {shown(bundle)})"
    return f"no node has {shown(bundle)} free at once ({count} of these found no place)"
