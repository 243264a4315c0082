"""The fields of KubeRay's v1 API, as JSON schemas in which an unknown field is an error, as it is for `kubectl apply`.

Written from the API's type definitions (ray-operator/apis/ray/v1/raycluster_types.go and rayjob_types.go): names, types
and what is required. What the operator hands on to Kubernetes (pod templates, resources, environment) is checked with
Kubernetes' own strict schemas, out of the package kubernetes-validate.
"""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

_KUBERNETES = "v1.33.0-local-strict"
_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _kubernetes(kind: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/io.k8s.api.core.v1.{kind}"}


_LIST_OF = {name: {"type": "array", "items": _kubernetes(name)} for name in ("EnvVar", "EnvFromSource", "VolumeMount")}
_AUTOSCALER = _closed(
    [],
    resources=_kubernetes("ResourceRequirements"),
    image=_TEXT,
    imagePullPolicy=_TEXT,
    env=_LIST_OF["EnvVar"],
    envFrom=_LIST_OF["EnvFromSource"],
    volumeMounts=_LIST_OF["VolumeMount"],
    securityContext=_kubernetes("SecurityContext"),
    idleTimeoutSeconds=_COUNT,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    version={"enum": ["v1", "v2"]},
)
_HEAD = _closed(
    ["template"],
    serviceType=_TEXT,
    enableIngress=_FLAG,
    rayStartParams=_TEXTS,
    template=_kubernetes("PodTemplateSpec"),
)
_WORKER = _closed(
    ["groupName", "minReplicas", "maxReplicas", "template"],
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    numOfHosts=_COUNT,
    suspend=_FLAG,
    idleTimeoutSeconds=_COUNT,
    rayStartParams=_TEXTS,
    template=_kubernetes("PodTemplateSpec"),
)
_CLUSTER = _closed(
    ["headGroupSpec"],
    headGroupSpec=_HEAD,
    workerGroupSpecs={"type": "array", "items": _WORKER},
    rayVersion=_TEXT,
    enableInTreeAutoscaling=_FLAG,
    autoscalerOptions=_AUTOSCALER,
    headServiceAnnotations=_TEXTS,
    suspend=_FLAG,
)
_JOB = _closed(
    [],
    activeDeadlineSeconds=_COUNT,
    backoffLimit=_COUNT,
    rayClusterSpec=_CLUSTER,
    submitterPodTemplate=_kubernetes("PodTemplateSpec"),
    metadata=_TEXTS,
    clusterSelector=_TEXTS,
    entrypoint=_TEXT,
    runtimeEnvYAML=_TEXT,
    jobId=_TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    entrypointResources=_TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    ttlSecondsAfterFinished=_COUNT,
    shutdownAfterJobFinishes=_FLAG,
    suspend=_FLAG,
)
_SPECS = {"RayCluster": _CLUSTER, "RayJob": _JOB}


def schema_of(document: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of a document: ours of KubeRay's kinds, Kubernetes' own of any other."""
    kind = document["kind"]
    if kind not in _SPECS:
        version = document["apiVersion"].replace(".k8s.io/", "-").replace("/", "-")
        return _kubernetes_file(f"{kind.lower()}-{version}.json") | {"$defs": _definitions()}
    metadata = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    top = _closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=metadata,
        spec=_SPECS[kind],
    )
    return top | {"$defs": _definitions()}


@cache
def _definitions() -> dict[str, Any]:
    return _kubernetes_file("_definitions.json")["$defs"]


def _kubernetes_file(name: str) -> dict[str, Any]:
    """A schema of Kubernetes whose references point into the document that it becomes a part of."""
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec is not None and spec.origin is not None, "kubernetes-validate is a dependency of the tests"
    path = Path(spec.origin).parent / "kubernetes-json-schema" / _KUBERNETES / name
    return json.loads(path.read_text(encoding="utf-8").replace("/api/_definitions.json#/$defs/", "#/$defs/"))
