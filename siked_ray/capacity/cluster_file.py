"""Groups of nodes out of cluster definitions: KubeRay's RayCluster and RayJob, Ray's launcher, Slurm scripts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from siked_ray.errors import ConfigError

_GPU = "nvidia.com/gpu"
_MOST_REPLICAS = 2**31 - 1
_SLURM_OPTION = re.compile(r"^#SBATCH\s+--([\w-]+)[=\s](\S+)", re.MULTILINE)
_SUFFIXES = {"m": 1e-3, "": 1.0, "k": 1e3}


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeGroup:
    """Nodes of one kind. `resources` is what Ray sees of one node; `max_nodes` bounds the autoscaler."""

    name: str
    resources: Mapping[str, float]
    min_nodes: int
    max_nodes: int


def read_cluster(path: str) -> list[NodeGroup]:
    """The groups of a cluster definition, the head first; raises ConfigError for what cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--cluster: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--cluster: {path} is no UTF-8 text; give a cluster definition or a Slurm script.") from None
    try:
        if "#SBATCH" in text:
            return _slurm_groups(text)
        documents = [document for document in yaml.safe_load_all(text) if isinstance(document, dict)]
        return _groups(documents, path)
    except ConfigError:
        raise
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"--cluster: {path} is no complete cluster definition ({reason}).") from None


def _groups(documents: list[dict[str, Any]], path: str) -> list[NodeGroup]:
    for document in documents:
        if document.get("kind") == "RayCluster":
            return _kuberay_groups(document["spec"])
        if document.get("kind") == "RayJob" and "rayClusterSpec" in document["spec"]:
            return _kuberay_groups(document["spec"]["rayClusterSpec"])
        if "available_node_types" in document:
            return _launcher_groups(document)
    raise ConfigError(
        f"--cluster: {path} is neither a RayCluster, a RayJob with a rayClusterSpec, a cluster of `ray up` nor "
        "a script with #SBATCH lines."
    )


def _kuberay_groups(spec: dict[str, Any]) -> list[NodeGroup]:
    head = NodeGroup(name="head", resources=_pod_resources(spec["headGroupSpec"]), min_nodes=1, max_nodes=1)
    scales = spec.get("enableInTreeAutoscaling", False)
    workers = []
    for group in spec.get("workerGroupSpecs", []):
        hosts = group.get("numOfHosts", 1)
        replicas = group.get("replicas", 0)
        fewest = max(group.get("minReplicas", 0), 0) if scales else replicas
        most = group.get("maxReplicas", _MOST_REPLICAS) if scales else replicas
        workers.append(
            NodeGroup(
                name=group["groupName"],
                resources=_pod_resources(group),
                min_nodes=fewest * hosts,
                max_nodes=most * hosts,
            )
        )
    return [head, *workers]


def _pod_resources(group: dict[str, Any]) -> dict[str, float]:
    """What KubeRay tells `ray start`: the Ray container's limits, and the start parameters over them."""
    container = group["template"]["spec"]["containers"][0]["resources"]
    asked = container.get("requests", {}) | container.get("limits", {})
    parameters = group.get("rayStartParams") or {}
    found = {
        "CPU": float(parameters.get("num-cpus", _quantity(asked.get("cpu", 0)))),
        "GPU": float(parameters.get("num-gpus", _quantity(asked.get(_GPU, 0)))),
    }
    custom = parameters.get("resources")
    if custom:
        found |= json.loads(str(custom).strip("'\"").replace('\\"', '"'))
    return found


def _quantity(value: Any) -> float:
    """A count of Kubernetes: 4, "4", "500m"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mk]?)", str(value))
    if match is None:
        raise ValueError(f"{value!r} is no count")
    return float(match[1]) * _SUFFIXES[match[2]]


def _launcher_groups(values: dict[str, Any]) -> list[NodeGroup]:
    head_type = values["head_node_type"]
    most = values.get("max_workers", 2)
    groups = []
    for name, node in values["available_node_types"].items():
        if not node.get("resources"):
            raise ValueError(f"the node type {name} has no resources; set resources: {{CPU: …}}")
        is_head = name == head_type
        groups.append(
            NodeGroup(
                name=name,
                resources=node["resources"],
                min_nodes=1 if is_head else node.get("min_workers", 0),
                max_nodes=1 if is_head else node.get("max_workers", most),
            )
        )
    return sorted(groups, key=lambda group: group.name != head_type)


def _slurm_groups(text: str) -> list[NodeGroup]:
    """One group of as many nodes as are certain: of `--nodes=2-4` two."""
    options = dict(_SLURM_OPTION.findall(text))
    nodes = int(options.get("nodes", "1").partition("-")[0])
    per_node = options.get("gpus-per-node")
    gpus = _slurm_gpus(f"gpu:{per_node}" if per_node else options.get("gres", ""))
    resources = {"CPU": float(options.get("cpus-per-task", 1)), "GPU": float(gpus)}
    return [NodeGroup(name="allocation", resources=resources, min_nodes=nodes, max_nodes=nodes)]


def _slurm_gpus(gres: str) -> int:
    """GPUs among generic resources: `gpu:2`, `gpu:a100:2`, and one where there is no count."""
    counts = [entry.split(":")[1:] for entry in gres.split(",") if entry.split(":")[0] == "gpu"]
    return sum(int(count[-1]) if count and count[-1].isdigit() else 1 for count in counts)
