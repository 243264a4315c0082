"""Every file in cluster/ is valid by the schema of what reads it, and asks for what the jobs ask for."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from siked_ray.capacity.autoscaler import call_up, stages_on
from siked_ray.capacity.bundles import engines_demand, training_demand
from siked_ray.capacity.cluster_file import NodeGroup, read_cluster
from siked_ray.config import Config, load_config
from siked_ray.settings import STUDENT
from tests.cluster.kuberay_api import schema_of

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
KUBERAY = sorted((CLUSTER / "kuberay").glob("*.yaml"))
LAUNCHER = [CLUSTER / "aws.yaml", CLUSTER / "gcp.yaml"]
SLURM = CLUSTER / "slurm.sbatch"
DRAIN_NODE = CLUSTER / "drain_node.sh"
GPU_CLUSTERS = [CLUSTER / "kuberay" / "raycluster.yaml", CLUSTER / "kuberay" / "rayjob.yaml", *LAUNCHER, SLURM]
PAPER = sorted((ROOT / "jobs").glob("paper_*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def errors(document: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema_of(document)).iter_errors(document)]


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", KUBERAY, ids=stem)
def test_kuberay_files_are_valid(path: Path) -> None:
    for document in documents(path):
        assert errors(document) == []


def test_the_schemas_find_mistakes_at_every_depth() -> None:
    (cluster,) = documents(CLUSTER / "kuberay" / "raycluster.yaml")
    spec = ["spec", "workerGroupSpecs", 0]
    mistakes: list[tuple[list[Any], Any]] = [
        (["spec", "headGroup"], {}),
        ([*spec, "maxReplica"], 3),
        ([*spec, "maxReplicas"], "three"),
        ([*spec, "rayStartParams", "num-cpus"], 4),
        ([*spec, "template", "spec", "containers", 0, "imagee"], "x"),
        ([*spec, "template", "spec", "tolerations", 0, "effects"], "x"),
        (["spec", "autoscalerOptions", "upscalingMode"], "Fast"),
    ]
    for keys, value in mistakes:
        broken = copy.deepcopy(cluster)
        place = broken
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        assert errors(broken) != [], keys


@pytest.mark.parametrize("path", LAUNCHER, ids=stem)
def test_launcher_files_pass_rays_own_validation(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(documents(path)[0])
    validate_config(config)
    assert set(config["available_node_types"]) == {group.name for group in read_cluster(str(path))}
    with pytest.raises(jsonschema.ValidationError):
        validate_config(config | {"max_worker": 3})


def test_what_is_asked_of_ec2_is_a_request_that_ec2_takes() -> None:
    """Checked against the API's own description, which botocore ships."""
    from botocore import session
    from botocore.validate import ParamValidator

    shape = session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    for node in documents(CLUSTER / "aws.yaml")[0]["available_node_types"].values():
        request = node["node_config"] | {"MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).has_errors()
    assert ParamValidator().validate({"MinCount": 1, "MaxCount": 1, "InstanceTyp": "x"}, shape).has_errors()


@pytest.mark.parametrize("script", [SLURM, DRAIN_NODE], ids=stem)
def test_the_scripts_are_good_scripts(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    subprocess.run([shellcheck, "--severity=style", script], check=True)
    assert os.access(script, os.X_OK)


def test_workers_are_drained_before_they_go() -> None:
    """Pods have the time for it; machines of a cloud listen for its notice."""
    in_image = f"/opt/siked/{DRAIN_NODE.relative_to(ROOT)}"
    drained = 0
    for path in KUBERAY:
        for group in _spec(documents(path)[0]).get("workerGroupSpecs", []):
            pod = group["template"]["spec"]
            (container,) = pod["containers"]
            assert container["lifecycle"]["preStop"]["exec"]["command"] == [in_image]
            assert pod["terminationGracePeriodSeconds"] > 90
            drained += 1
    assert drained == 4
    for path in LAUNCHER:
        assert f"{in_image} {path.stem} " in documents(path)[0]["worker_start_ray_commands"][-1]


@pytest.mark.parametrize("cluster", GPU_CLUSTERS, ids=stem)
@pytest.mark.parametrize("job", PAPER, ids=stem)
def test_the_papers_jobs_fit_on_every_cluster(job: Path, cluster: Path) -> None:
    config, groups = load_config(job), read_cluster(str(cluster))
    for title, (demand, called) in stages_on(config, groups).items():
        assert called.lacking == "", title
        gpus_called = sum(count * _group(groups, name).resources["GPU"] for name, count in called.nodes.items())
        gpus_there = sum(group.min_nodes * group.resources.get("GPU", 0) for group in groups)
        gpus_asked = sum(bundle.get("GPU", 0) for bundle in demand.bundles)
        assert gpus_there + gpus_called >= gpus_asked
        if gpus_called:
            assert gpus_called - gpus_asked < min(_group(groups, name).resources["GPU"] for name in called.nodes)


@pytest.mark.parametrize("cluster", [CLUSTER / "kuberay" / "raycluster.yaml", *LAUNCHER], ids=stem)
def test_custom_resources_keep_the_stages_on_their_groups(cluster: Path) -> None:
    resources = ["cluster.generation_resources={generation: 1}", "cluster.training_resources={training: 1}"]
    config, groups = load_config(PAPER[0], resources), read_cluster(str(cluster))
    (sampling,) = call_up(engines_demand(config, STUDENT).bundles, groups).nodes
    (training,) = call_up(training_demand(config).bundles, groups).nodes
    assert sampling.startswith("generation") and training == "training"


def test_the_smoke_job_fits_on_its_cluster_alone() -> None:
    smoke = load_config(ROOT / "jobs" / "smoke.yaml")
    called = stages_on(smoke, read_cluster(str(CLUSTER / "kuberay" / "smoke.yaml")))
    assert all(not one.lacking and not one.nodes for _, one in called.values())
    paper = stages_on(load_config(PAPER[0]), read_cluster(str(CLUSTER / "kuberay" / "smoke.yaml")))
    assert all(one.lacking.startswith("no node has") for _, one in paper.values())


@pytest.mark.parametrize("path", [CLUSTER / "kuberay" / "rayjob.yaml", CLUSTER / "kuberay" / "smoke.yaml"], ids=stem)
def test_jobs_in_kuberay_name_settings_that_are_in_the_image(path: Path) -> None:
    entrypoint = documents(path)[0]["spec"]["entrypoint"].split()
    assert entrypoint[:4] == ["python", "-m", "siked_ray", "run"]
    config = load_config(ROOT / entrypoint[4].removeprefix("/opt/siked/"), entrypoint[5:])
    assert isinstance(config, Config)


@pytest.mark.parametrize("path", KUBERAY, ids=stem)
def test_pods_are_unprivileged_and_workers_hold_no_account(path: Path) -> None:
    for pod in _pods(documents(path)[0]):
        context = pod["spec"]["securityContext"]
        assert context["runAsUser"] == 1000
        for container in pod["spec"]["containers"]:
            inner = container["securityContext"]
            assert inner["runAsNonRoot"] and not inner["allowPrivilegeEscalation"]
            assert inner["capabilities"] == {"drop": ["ALL"]}
    for group in _spec(documents(path)[0]).get("workerGroupSpecs", []):
        assert group["template"]["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", ["Dockerfile.cpu", "Dockerfile.gpu"])
def test_images_run_as_an_ordinary_user_on_what_is_in_the_repository(name: str) -> None:
    text = (CLUSTER / name).read_text(encoding="utf-8")
    users = re.findall(r"^USER (\w+)", text, re.MULTILINE)
    assert users == ["siked"] and "--uid 1000" in text
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in copied.split():
            assert (ROOT / source).exists(), source
            assert f"!{source.partition('/')[0]}" in ignored, f"{source} has to get past .dockerignore"


def test_dashboards_listen_on_loopback_unless_the_file_says_why_not() -> None:
    hosts = {
        path: re.findall(r"dashboard-host[:=] ?(\S+)(.*)", path.read_text(encoding="utf-8"))
        for path in [*KUBERAY, *LAUNCHER, SLURM]
    }
    for path, found in hosts.items():
        for host, rest in found:
            assert host == "127.0.0.1" or "asked for" in rest or path.stem == "smoke", path
    assert sum(len(found) for found in hosts.values()) >= 6


def test_versions_agree() -> None:
    import ray

    assert {_spec(documents(path)[0])["rayVersion"] for path in KUBERAY if "policy" not in path.stem} == {
        ray.__version__
    }


def _group(groups: list[NodeGroup], name: str) -> NodeGroup:
    return next(group for group in groups if group.name == name)


def _spec(document: dict[str, Any]) -> dict[str, Any]:
    return document["spec"].get("rayClusterSpec", document["spec"])


def _pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = _spec(document)
    groups = [spec.get("headGroupSpec"), *spec.get("workerGroupSpecs", [])]
    return [group["template"] for group in groups if group]
