"""Twenty node kills over the loop's stages: does it always finish, always with the same mixtures?

    python benchmarks/node_kills.py [--kills 20] [--seed 0]

A cluster of four raylets on this machine, a run with a fake engine (tests/cluster/fakes.py; the rest is the real
thing), and something killed every few seconds: a worker node, the driver's node, or the process that submitted the run.
Lost nodes are replaced. When a run finishes before all kills are done, the next one begins.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.conftest import FakeRun, Nodes, make_fake_run, started_cluster
from tests.cluster.test_losses import node_of_driver

_NUM_PROBLEMS = 160
_NUM_WORKERS = 3
_RUN_TIMEOUT_S = 600.0


def kill_something(nodes: Nodes, run: FakeRun, process: subprocess.Popen[str], rng: random.Random) -> tuple[str, Any]:
    """One kill; returns what it was and the process that watches from now on."""
    what = rng.choice(["worker node", "worker node", "driver's node", "submitting process"])
    if what == "submitting process":
        process.send_signal(signal.SIGKILL)
        process.wait()
        return what, run.submit(node_id=rng.choice(nodes.workers).node_id)
    victim = rng.choice(nodes.workers)
    if what == "driver's node":
        driver = node_of_driver(run)
        victim = next((node for node in nodes.workers if node.node_id == driver), victim)
    nodes.kill(victim)
    nodes.be(_NUM_WORKERS)
    return what, process


def disturbed_run(nodes: Nodes, folder: Path, num_kills: int, rng: random.Random) -> tuple[FakeRun, list[str]]:
    """A run that is disturbed until it has finished, or until all kills are done."""
    run = make_fake_run(folder, _NUM_PROBLEMS)
    process = run.submit(node_id=rng.choice(nodes.workers).node_id)
    run.wait_for(lambda: run.num_parts("rollouts/teacher") > 0)
    kills: list[str] = []
    while len(kills) < num_kills and not run.finished():
        time.sleep(rng.uniform(1.0, 6.0))
        if process.poll() is not None or run.finished():
            break
        committed = len(run.committed())
        what, process = kill_something(nodes, run, process, rng)
        kills.append(what)
        print(f"kill: {what}, {committed} stages committed", flush=True)
    output, _ = process.communicate(timeout=_RUN_TIMEOUT_S)
    assert run.finished(), output
    return run, kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, started = random.Random(options.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="siked-kills-") as base, started_cluster(_NUM_WORKERS) as nodes:
        undisturbed = make_fake_run(Path(base) / "undisturbed", _NUM_PROBLEMS)
        undisturbed.submit().communicate(timeout=_RUN_TIMEOUT_S)
        kills: list[str] = []
        same = []
        while len(kills) < options.kills:
            folder = Path(base) / f"run-{len(same)}"
            run, done = disturbed_run(nodes, folder, options.kills - len(kills), rng)
            kills += done
            same.append(run.mixtures() == undisturbed.mixtures())
            print(f"run {len(same)}: finished after {len(done)} kills, same mixtures: {same[-1]}", flush=True)
    counts = {what: kills.count(what) for what in sorted(set(kills))}
    seconds = round(time.monotonic() - started)
    print(json.dumps({"kills": counts, "runs": len(same), "same_mixtures": all(same), "seconds": seconds}))
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    os.environ.pop("RAY_ADDRESS", None)
    main()
