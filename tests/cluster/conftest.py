"""A cluster of several raylets on this machine, and runs on it with a fake engine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: A submitting process: what `siked run` does, with the fake stages.
SUBMIT = """
import sys
from siked_ray.config import load_config
from siked_ray.driver.preflight import check
from siked_ray.driver.session import execute
from tests.cluster.fakes import make_stages
config = load_config(sys.argv[1], sys.argv[2:])
execute(config, check(config), lambda stages: None, make_stages)
"""


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """A head that runs nothing, and worker nodes that can be added and killed."""

    cluster: Any
    workers: list[Any]

    def add(self, **resources: float) -> Any:
        node = self.cluster.add_node(num_cpus=2, resources={"worker": 1, **resources})
        self.workers.append(node)
        return node

    def kill(self, node: Any) -> None:
        self.workers.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    @property
    def address(self) -> str:
        return self.cluster.address


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A head without CPUs and two workers; processes find this checkout's package."""
    import ray
    from ray.cluster_utils import Cluster

    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    for name, value in {"PYTHONPATH": path, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "resources": {"head": 1}},
    )
    made = Nodes(cluster=cluster, workers=[])
    made.add()
    made.add()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield made
    ray.shutdown()
    cluster.shutdown()


@dataclass(frozen=True, kw_only=True)
class FakeRun:
    """A run directory on which a submitting process can be started."""

    settings: Path
    folder: Path
    overrides: tuple[str, ...] = ("strategies=[cot, pot]", "generation.num_samples=3", "iterations.max=2")

    def submit(self) -> subprocess.Popen[str]:
        teacher = "teacher={source: vllm, model: 'world:teacher'}"
        command = [sys.executable, "-c", SUBMIT, str(self.settings), *self.overrides, teacher]
        command += [f"run_dir={self.folder}", "iterations.patience=5"]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, what: Callable[[], bool], timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; {sorted(self.committed())} are committed"
            time.sleep(0.1)

    def committed(self) -> set[str]:
        return {path.stem for path in (self.folder / "ledger").glob("*.json")}

    def num_parts(self, folder: str) -> int:
        return len(list((self.folder / folder).glob("*.parquet")))

    def summary(self) -> dict[str, Any]:
        path = self.folder / "summary.json"
        return json.loads(path.read_text()) if path.exists() else {"status": "new"}

    def finished(self) -> bool:
        return self.summary()["status"] == "finished"

    def mixtures(self) -> list[str]:
        return [one["mixture"]["sha256"] for one in self.summary()["iterations"]]


@pytest.fixture
def make_run(settings_file: Path, tmp_path: Path) -> Callable[[str], FakeRun]:
    return lambda name: FakeRun(settings=settings_file, folder=tmp_path / name)
