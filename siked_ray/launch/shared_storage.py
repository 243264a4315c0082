"""Can every node of the cluster read what the driver writes?"""

import os
import uuid
from contextlib import suppress
from typing import Any

from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError

_TIMEOUT_S = 60.0


def check_run_directory_is_shared(storage: Storage) -> None:
    """ConfigError when the run directory is a folder of one machine and the cluster has others.

    A file is written here and looked for on every living node. Object stores are everywhere; nodes that come later
    are not looked at.
    """
    import ray

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    if not storage.is_local or len(nodes) == 1:
        return
    name = f".shared-{uuid.uuid4().hex}"
    storage.write_text(name, "Is this seen on every node?\n")
    try:
        without = _nodes_without(storage.path(name), nodes)
    finally:
        with suppress(OSError):
            os.remove(storage.path(name))
            os.rmdir(storage.root)  # only when it was made for this question
    if without:
        raise ConfigError(
            f"run_dir {storage.root} is a folder of this machine alone: {len(without)} of {len(nodes)} nodes of the "
            "cluster do not see it, so engines and training workers there could neither read models nor write rows. "
            "Set run_dir to a shared file system (NFS, EFS, Filestore, Lustre) or to an object store (s3://…)."
        )


def _nodes_without(path: str, nodes: list[str]) -> list[str]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look: Any = ray.remote(os.path.exists)
    asked = {
        look.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False)).remote(
            path
        ): node
        for node in nodes
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_TIMEOUT_S)
    without = []
    for reference in answered:
        with suppress(ray.exceptions.RayError):  # a node that went away meanwhile
            if not ray.get(reference):
                without.append(asked[reference])
    return without
