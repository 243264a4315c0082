"""The families of the world: each draws a problem with an honest rationale in every strategy's form."""

from collections.abc import Callable, Mapping
from random import Random

from siked_ray.world.families.draft import Draft
from siked_ray.world.families.kites import kites
from siked_ray.world.families.scores import scores
from siked_ray.world.families.share import share
from siked_ray.world.families.shop import shop
from siked_ray.world.families.weather import weather

FAMILIES: Mapping[str, Callable[[Random], Draft]] = {
    "kites": kites,
    "scores": scores,
    "share": share,
    "shop": shop,
    "weather": weather,
}

__all__ = ["FAMILIES", "Draft"]
