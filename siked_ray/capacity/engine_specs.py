"""How engines are opened, how many there are, and whether they fit beside the training workers."""

from siked_ray.capacity.bundles import engines_demand, missing, total, training_demand
from siked_ray.config import Config
from siked_ray.core.demand import Bundle
from siked_ray.generation.pool import EngineSpec, PoolSize
from siked_ray.settings import STUDENT
from siked_ray.sources import engines_of

_SPARE_CPUS = 1


def engine_spec(config: Config, key: str, max_model_len: int) -> EngineSpec:
    """How the engines of the student or of a part of the teacher are opened; `key` as in `TeacherPart`."""
    return engines_of(config, key).spec(max_model_len)


def pool_size(config: Config, key: str) -> PoolSize:
    """How many engines the student or a part of the teacher gets."""
    return engines_of(config, key).size()


def cpus_wanted(config: Config) -> float:
    """Logical CPUs with which engines and training workers fit side by side."""
    return total(_side_by_side_bundles(config)).get("CPU", 0.0) + _SPARE_CPUS


def gpus_wanted(config: Config) -> float:
    """GPUs with which engines and training workers fit side by side."""
    return total(_side_by_side_bundles(config)).get("GPU", 0.0)


def fit_side_by_side(config: Config) -> bool:
    """True when engines and training workers all find a place on the nodes that Ray has now."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return not missing(_side_by_side_bundles(config), nodes)


def _side_by_side_bundles(config: Config) -> tuple[Bundle, ...]:
    """With the most training workers: Ray Train tries for as many as whole nodes could hold."""
    worker = training_demand(config).bundles[0]
    return (*engines_demand(config, STUDENT).bundles, *(worker for _ in range(config.training.max_workers)))
