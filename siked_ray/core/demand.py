"""What has to have room on a cluster at the same time, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass

#: What one engine, worker or task reserves on one node, {resource: amount}.
Bundle = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What has to run at the same time, and the settings that say so."""

    what: str
    bundles: tuple[Bundle, ...]
    settings: str


def bundle_of(cpus: float, gpus: float, others: Mapping[str, float]) -> Bundle:
    """A bundle without the resources of which nothing is reserved."""
    bundle = {"CPU": cpus, "GPU": gpus, **others}
    return {name: amount for name, amount in bundle.items() if amount}
