"""The Slurm script, run with stand-ins for Slurm's commands: two real Ray nodes on this machine, a token, an end."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(300)]
SCRIPT = ROOT / "cluster" / "slurm.sbatch"
#: Drops srun's own options; the dashboard is of no use here.
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
[ "$1" = hostname ] && { echo 127.0.0.1; exit; }
[[ " $* " == *" --head "* ]] && exec "$@" --include-dashboard=false
exec "$@"
"""
SCONTROL = "#!/usr/bin/env bash\nprintf 'node1\\nnode2\\n'\n"
#: In the place of `python -m siked_ray run …`: looks at the cluster, then does as its last argument says.
PROGRAM = """#!{python}
import os, sys, time
import ray
deadline = time.monotonic() + 60
ray.init(log_to_driver=False, logging_level="ERROR")
while len(ray.nodes()) < 2 and time.monotonic() < deadline:
    time.sleep(0.5)
resources = ray.cluster_resources()
found = ("NODES", len(ray.nodes()), "CPU", resources["CPU"], "GPU", resources["GPU"])
print("ARGUMENTS", *sys.argv[1:], *found, flush=True)
if sys.argv[-1] == "wait":
    try:
        time.sleep(120)
    finally:
        print("TOLD TO STOP", flush=True)
sys.exit(7)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": PROGRAM.format(python=sys.executable)}.items():
        (folder / name).write_text(text)
        (folder / name).chmod((folder / name).stat().st_mode | stat.S_IXUSR)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        yield os.environ | {
            "PATH": f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_CPUS_PER_TASK": "3",
            "SLURM_GPUS_ON_NODE": "4",
            "RAY_TMPDIR": short,
            "RAY_USAGE_STATS_ENABLED": "0",
        }


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        [str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_starts_ray_on_all_nodes_and_returns_the_runs_exit_code(environment: dict[str, str], tmp_path: Path) -> None:
    process = start(environment, tmp_path, "jobs/demo.yaml", "seed=3")
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 7, output
    assert "ARGUMENTS -m siked_ray run jobs/demo.yaml seed=3 NODES 2 CPU 6.0 GPU 8.0" in output
    assert not list(tmp_path.glob(".ray-token-*")), "the token is gone with the job"


def test_a_time_limit_reaches_the_run(environment: dict[str, str], tmp_path: Path) -> None:
    process = start(environment, tmp_path, "jobs/demo.yaml", "wait")
    assert process.stdout is not None
    lines = []
    while not lines or "NODES 2" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    token = next(tmp_path.glob(".ray-token-*"))
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and len(token.read_text()) == 64
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode != 0 and time.monotonic() - started < 50


def test_it_says_how_it_is_used(tmp_path: Path) -> None:
    answer = subprocess.run([str(SCRIPT)], capture_output=True, text=True, check=False)
    assert answer.returncode == 2 and "usage: sbatch" in answer.stderr
