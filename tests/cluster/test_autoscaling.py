"""Ray's own autoscaler, with nodes that are processes: called up for a stage that needs them, and let go afterwards.

That idle nodes then end cannot be seen here: this autoscaler tells nodes apart by their addresses, and all have one.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.conftest import ENVIRONMENT, FakeRun
from tests.cluster.test_submit import free_port

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(400)]

_ENVIRONMENT = ENVIRONMENT | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
_WORKER = {"resources": {"CPU": 2, "worker": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2}
_HEAD = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
_NODES_ARE_PROCESSES = {
    "disable_node_updaters": True,
    "disable_launch_config_check": True,
    "foreground_node_launch": True,
}
_CLUSTER = {
    "cluster_name": "siked",
    "max_workers": 2,
    "idle_timeout_minutes": 0.1,
    "available_node_types": {"ray.head.default": _HEAD, "worker": _WORKER},
    "head_node_type": "ray.head.default",
    "upscaling_speed": 1.0,
    **{name: {} for name in ("auth", "docker", "file_mounts")},
    **{f"{name}_commands": [] for name in ("initialization", "setup", "head_setup", "worker_setup")},
    **{name: [] for name in ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files")},
}


@pytest.fixture
def monitor_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A head without CPUs, and an autoscaler that may start two workers; its log. RAY_ADDRESS names the cluster."""
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    folder = tempfile.mkdtemp(prefix="siked-", dir="/tmp")  # short: sockets are in it
    port = free_port()
    provider = {"type": "fake_multinode", "gcs_address": f"127.0.0.1:{port}", **_NODES_ARE_PROCESSES}
    (tmp_path / "cluster.yaml").write_text(json.dumps(_CLUSTER | {"provider": provider}))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=0"]
    command += [f"--port={port}", "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}"]
    command += [f"--autoscaling-config={tmp_path / 'cluster.yaml'}"]
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        deadline = time.monotonic() + 120
        while num_nodes() == 0:
            assert head.poll() is None and time.monotonic() < deadline, (tmp_path / "head.log").read_text()
            time.sleep(0.5)
        yield Path(folder, "session_latest", "logs", "monitor.log")
    finally:
        processes = psutil.Process(head.pid).children(recursive=True)
        for process in (*processes, head):
            process.kill()
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def num_nodes() -> int:
    """Living nodes, asked in a process of its own: this one stays unconnected."""
    code = (
        "import ray; ray.init(log_to_driver=False, logging_level='ERROR')\n"
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=90)
    return int(answer.stdout.split()[-1]) if answer.returncode == 0 else 0


def asked_for(monitor_log: Path) -> str:
    """What the autoscaler was last told to have room for."""
    return monitor_log.read_text().rpartition("From request_resources:\n")[2].partition("\n")[0].strip()


def test_nodes_are_called_up_for_the_stages_and_let_go(monitor_log: Path, run: FakeRun) -> None:
    assert num_nodes() == 1
    process = run.submit("engine.num_engines=4", "cluster.generation_resources={worker: 0.5}")
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 0)
    assert num_nodes() == 3, "four engines, two to a node"
    assert "4 from request_resources()" in asked_for(monitor_log)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert any(name.startswith("waiting for nodes: ") for name in run.stages_shown())
    time.sleep(3)
    assert asked_for(monitor_log) == "(none)"
