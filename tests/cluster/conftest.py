"""A cluster of several raylets on this machine, and runs on it with a fake engine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import additions, write_jsonl

ROOT = Path(__file__).parents[2]
#: A submitting process: what `siked run` does, with the fake stages; the driver prefers the node that is named.
SUBMIT = """
import sys
from siked_ray.config import load_config
from siked_ray.launch import actors, session
from siked_ray.preflight.check import check
from tests.cluster.fakes import make_lab
config = load_config(sys.argv[2], sys.argv[3:])
if sys.argv[1]:
    actors._head_node_id = lambda: sys.argv[1]
session.execute(config, check(config), lambda stages: None, make_lab)
"""
#: Processes of a cluster find this checkout's package.
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_HEALTH_CHECKS = {"RAY_health_check_failure_threshold": "5", "RAY_health_check_period_ms": "1000"}
_OVERRIDES = (
    "strategies=[cot, pot]",
    "generation.num_samples=3",
    "iterations.max=2",
    "iterations.patience=5",
    "teacher={source: vllm, model: 'world:teacher'}",
    "engine.cpus_per_engine=0.5",
    "training.cpus_per_worker=0.5",
)


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """A head that runs nothing, and worker nodes that can be added and killed."""

    cluster: Any
    workers: list[Any]
    num_cpus: int

    def add(self, **resources: float) -> Any:
        node = self.cluster.add_node(num_cpus=self.num_cpus, resources={"worker": 1, **resources})
        self.workers.append(node)
        return node

    def kill(self, node: Any) -> None:
        self.workers.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def be(self, num_workers: int) -> None:
        """Make good what an earlier test has killed."""
        while len(self.workers) < num_workers:
            self.add()


@contextmanager
def started_cluster(num_workers: int, num_cpus: int = 2) -> Iterator[Nodes]:
    """A head without CPUs and workers; processes find this checkout's package, and RAY_ADDRESS names the cluster."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | _HEALTH_CHECKS).items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        made = Nodes(cluster=cluster, workers=[], num_cpus=num_cpus)
        try:
            made.be(num_workers)
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield made
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with started_cluster(2) as nodes:
        yield nodes


@dataclass(frozen=True, kw_only=True)
class FakeRun:
    """A run directory on which a submitting process can be started."""

    folder: Path
    settings: Path

    def submit(self, *overrides: str, node_id: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SUBMIT, node_id, str(self.settings), *_OVERRIDES, *overrides]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, what: Callable[[], bool], timeout_s: float = 240.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; {sorted(self.committed())} are committed"
            time.sleep(0.1)

    @contextmanager
    def held(self, stage: str) -> Iterator[None]:
        """This stage makes its first parts and does not end before this does."""
        hold = Path(f"{self.folder}.hold") / stage
        hold.parent.mkdir(exist_ok=True)
        hold.touch()
        yield
        hold.unlink()

    def committed(self) -> set[str]:
        return {path.stem for path in (self.folder / "ledger").glob("*.json")}

    def num_parts(self, folder: str) -> int:
        return len(list((self.folder / folder).rglob("*.parquet")))

    def read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else {}

    def stages_shown(self) -> list[str]:
        return [stage["name"] for stage in self.read("progress.json")["stages"]]

    def finished(self) -> bool:
        return self.read("summary.json").get("status") == "finished"

    def mixtures(self) -> list[str]:
        return [one["mixture"]["sha256"] for one in self.read("summary.json")["iterations"]]


def make_fake_run(folder: Path, num_problems: int = 80) -> FakeRun:
    """A folder with data, settings and a run directory."""
    folder.mkdir(parents=True)
    values = {
        "run_dir": str(folder / "run"),
        "data": {"train": write_jsonl(folder / "sums.jsonl", additions(num_problems))},
        "teacher": {"source": "annotations"},
        "student": {"model": "world:student"},
        "prompts": "world",
        "generation": {"max_new_tokens": 64},
        "evaluation": {"max_new_tokens": 64},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return FakeRun(folder=folder / "run", settings=folder / "run.yaml")


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return make_fake_run(tmp_path / "fake")


@pytest.fixture(scope="module")
def undisturbed(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """The same run without any loss."""
    run = make_fake_run(tmp_path_factory.mktemp("undisturbed") / "fake")
    process = run.submit()
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert run.finished()
    return run
