"""The script that tells Ray of a notice: against stand-ins of the clouds' metadata servers, and a real Ray."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.conftest import ROOT

SCRIPT = ROOT / "cluster" / "drain_node.sh"


class Metadata(BaseHTTPRequestHandler):
    """EC2's and Compute Engine's metadata: no notice at first, then one; each wants its own headers."""

    asked: list[str]

    def do_PUT(self) -> None:
        is_right = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._answer(200 if is_right else 400, "the token")

    def do_GET(self) -> None:
        self.asked.append(self.path)
        noticed = len(self.asked) > 1
        if self.path == "/latest/meta-data/spot/instance-action":
            is_right = self.headers["X-aws-ec2-metadata-token"] == "the token"
            self._answer(401 if not is_right else 200 if noticed else 404, '{"action": "terminate"}')
        elif self.path == "/computeMetadata/v1/instance/preempted":
            is_right = self.headers["Metadata-Flavor"] == "Google"
            self._answer(200 if is_right else 403, "TRUE" if noticed else "FALSE")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def metadata() -> Iterator[dict[str, str]]:
    """Environment variables that lead to the stand-in."""
    Metadata.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        yield {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{host}", "GCE_METADATA_HOST": host, "no_proxy": "*"}
        server.shutdown()


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | environment | {"PATH": path}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.slow
@pytest.mark.parametrize(("cloud", "seconds"), [("aws", "110"), ("gcp", "25")])
def test_the_node_is_drained_once_the_cloud_says_that_it_goes(
    cloud: str, seconds: str, metadata: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "ray").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\n')
    (tmp_path / "ray").chmod(0o755)
    done = run([cloud], tmp_path, metadata)
    assert done.returncode == 0, done.stderr
    assert len(Metadata.asked) == 2, "it was asked again, and not after the notice"
    told = (tmp_path / "told").read_text().split()
    assert told[:3] == ["drain-node", "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    assert told[-2:] == ["--deadline-remaining-seconds", seconds]


def test_what_is_no_cloud_is_said(tmp_path: Path) -> None:
    done = run(["azure"], tmp_path, {})
    assert done.returncode == 2 and "usage" in done.stderr


#: In a process of its own: in one that has had another Ray before, actors on a cluster may end at once (docs/log.md).
BUSY_NODE = """
import os, subprocess, sys
import ray
from ray._private import state
from tests.training.trained import local_ray

class Keeper:
    def node_id(self):
        return ray.get_runtime_context().get_node_id()

with local_ray(1):
    keeper = ray.remote(Keeper).options(num_cpus=1).remote()  # else the node leaves at once
    node_id = ray.get(keeper.node_id.remote())
    environment = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    subprocess.run([sys.argv[1], "aws"], env=os.environ | environment, check=True)
    assert list(state.state.get_draining_nodes()) == [node_id]
    print("drained")
"""


@pytest.mark.engines
def test_ray_takes_the_request(metadata: dict[str, str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | metadata | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", BUSY_NODE, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1:] == ["drained"], done.stderr
