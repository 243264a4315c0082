"""A real run across two nodes on this machine: vLLM engines on both, DeepSpeed workers on both, losses in between.

    python benchmarks/two_nodes.py [--job jobs/smoke.yaml] [--kill] [--same-as RUN]

Two raylets with one CPU each, so that an engine, and then a training worker, has to be on either. With `--kill` a
worker node is killed while the student is sampled and another while it is trained; each is replaced. Prints the
mixtures' hashes, which have to be the same with and without `--kill`; with `--same-as` they have to be those of a
finished run of the same job on one node.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.conftest import ROOT, Nodes, started_cluster

_TIMEOUT_S = 1500.0
#: Training begins to step about then, and may be over before it says so.
_INTO_STAGE_S = 15.0


def shown(run_dir: Path) -> list[dict[str, Any]]:
    """Stages on the driver's last sign of life."""
    path = run_dir / "progress.json"
    return json.loads(path.read_text())["stages"] if path.exists() else []


def mixtures_of(run_dir: Path) -> list[str]:
    """Beginnings of the hashes of a run's mixtures."""
    summary = json.loads((run_dir / "summary.json").read_text())
    return [one["mixture"]["sha256"][:16] for one in summary["iterations"]]


def running(run_dir: Path, words: str) -> bool:
    """True while a stage with these words in its name is not finished, and has done something or taken some time."""
    stages = [one for one in shown(run_dir) if words in one["name"] and one["finished_at"] is None]
    return any(one["done"] > 0 or time.time() - one["started_at"] > _INTO_STAGE_S for one in stages)


def kill_during(words: str, run_dir: Path, nodes: Nodes, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the stage, kill a worker node, put another in its place; False when the stage went by too quickly."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not running(run_dir, words):
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    nodes.kill(nodes.workers[0])
    print(f"killed a node during: {words}", flush=True)
    nodes.add()
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", default="jobs/smoke.yaml")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--same-as", type=Path, metavar="RUN")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="siked-two-") as folder, started_cluster(2, num_cpus=1) as nodes:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "siked_ray", "run", options.job, f"run_dir={run_dir}"]
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT)
        killed = []
        if options.kill:
            killed = [words for words in ("student samples", "training") if kill_during(words, run_dir, nodes, process)]
        code = process.wait(timeout=_TIMEOUT_S)
        summary, mixtures = json.loads((run_dir / "summary.json").read_text()), mixtures_of(run_dir)
        print(
            json.dumps(
                {
                    "exit_code": code,
                    "status": summary["status"],
                    "killed_during": killed,
                    "mixtures": mixtures,
                    "seconds": round(time.monotonic() - started),
                    "logs": sorted(path.name for path in (run_dir / "logs").iterdir()),
                }
            )
        )
        if options.same_as and mixtures != mixtures_of(options.same_as):
            sys.exit(f"The mixtures of {options.same_as} are others: {mixtures_of(options.same_as)}")
        sys.exit(code)


if __name__ == "__main__":
    main()
