"""Where stages run."""

from typing import Annotated

from pydantic import Field

from siked_ray.settings.base import Settings


class ClusterSettings(Settings):
    """Where stages run on a cluster of several nodes. These change nothing of a run's results."""

    placement_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=1800.0, description="Seconds a stage waits for its nodes before it says what is missing."
    )
    generation_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="Custom resources each engine reserves, to stay on nodes that have them."
    )
    training_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="Custom resources each training worker reserves, likewise."
    )
