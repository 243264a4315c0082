"""Kill -9 at random moments: the run has to finish all the same, with the mixtures of an undisturbed run.

When a run finishes before all kills are done, the next one begins.

    python benchmarks/kills.py jobs/smoke.yaml [--kills 20] [--every 5 25] [--undisturbed RUN] [--work FOLDER]

Victims, whoever was killed least and lives within a minute: the command, the driver actor, a generator actor, the
process of its engine, a verifier's worker process, a training worker. A command that ended with an error is given
again. Real engines, real training; nothing of the run is told what happens to it.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

_VLLM = "siked_ray.generation.engines.engine_loop"
_ACTORS = {"engine": "ray::Generator", "driver": "ray::Driver", "training worker": "ray::RayTrainWorker"}
_KINDS = ("command", "verifier worker", "vLLM", *_ACTORS)
_TIMEOUT_S = 3600.0
_PATIENCE_S = 60.0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("config")
    arguments.add_argument("overrides", nargs="*")
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--every", type=float, nargs=2, default=(5.0, 25.0), metavar=("LEAST", "MOST"))
    arguments.add_argument("--undisturbed", type=Path, help="a finished run with the same settings")
    arguments.add_argument("--work", type=Path)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="siked-kills-"))
    work.mkdir(parents=True, exist_ok=True)
    reference = options.undisturbed or work / "undisturbed"
    if options.undisturbed is None:
        seconds, _ = run(options, reference, Counter(), num_kills=0)
        print(f"undisturbed: {seconds:.0f} s", flush=True)
    killed: Counter[str] = Counter()
    same = True
    while killed.total() < options.kills:
        run_dir = work / f"disturbed_after_{killed.total()}_kills"
        seconds, killed = run(options, run_dir, killed, num_kills=options.kills)
        same = same and facts(run_dir) == facts(reference)
        print(f"{run_dir.name}: {seconds:.0f} s, {json.dumps(facts(run_dir))}", flush=True)
    print(f"undisturbed: {json.dumps(facts(reference))}")
    print(f"killed {dict(killed)}: {'same mixtures' if same else 'DIFFERENT'}")
    return 0 if same else 1


def run(
    options: argparse.Namespace, run_dir: Path, killed_before: Counter[str], *, num_kills: int
) -> tuple[float, Counter[str]]:
    """Give the command until it ends with 0, killing meanwhile; seconds, and what was killed with what was before."""
    chance = random.Random(options.seed + killed_before.total())
    killed = Counter(killed_before)
    command = [sys.executable, "-m", "siked_ray", "run", options.config, *options.overrides, f"run_dir={run_dir}"]
    log = run_dir.with_suffix(".log")
    started = time.monotonic()
    while time.monotonic() - started < _TIMEOUT_S:
        with log.open("a") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
            while process.poll() is None:
                wait(process, chance.uniform(*options.every))
                if process.poll() is None and killed.total() < num_kills:
                    name = kill_one(process, chance, killed)
                    if name:
                        killed[name] += 1
                        print(f"{time.monotonic() - started:6.0f} s: killed {name} ({killed.total()})", flush=True)
        if process.returncode == 0:
            return time.monotonic() - started, killed
    raise SystemExit(f"not finished within {_TIMEOUT_S:.0f} s; see {log}")


def wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def kill_one(command: "subprocess.Popen[bytes]", chance: random.Random, killed: Counter[str]) -> str | None:
    """Kill one process of the run's own tree; what it was."""
    kind, victims = find_victims(command, killed)
    with suppress(psutil.NoSuchProcess, IndexError):
        chance.choice(sorted(victims, key=lambda process: process.pid)).kill()
        return kind
    return None


def find_victims(command: "subprocess.Popen[bytes]", killed: Counter[str]) -> tuple[str, list[psutil.Process]]:
    """Processes of the kind that was killed least; of another one where none of it comes to live in time."""
    by_kills = sorted(_KINDS, key=lambda kind: (killed[kind], kind))
    deadline = time.monotonic() + _PATIENCE_S
    while command.poll() is None:
        victims = living(psutil.Process(command.pid))
        kinds = by_kills if time.monotonic() > deadline else by_kills[:1]
        for kind in kinds:
            if victims.get(kind):
                return kind, victims[kind]
        time.sleep(0.2)
    return "command", []


def living(command: psutil.Process) -> dict[str, list[psutil.Process]]:
    """Processes by what they are."""
    with suppress(psutil.NoSuchProcess):
        tree = command.children(recursive=True)
        found = {kind: [one for one in tree if title(one).startswith(name)] for kind, name in _ACTORS.items()}
        processes = [child for engine in found["engine"] for child in children(engine)]
        engines = [one for one in processes if _VLLM in title(one)]
        workers = [one for one in processes if one not in engines]
        return {"command": [command], "verifier worker": workers, "vLLM": engines, **found}
    return {"command": [command]}


def children(process: psutil.Process) -> Sequence[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children()
    return ()


def title(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return " ".join(process.cmdline())
    return ""


def facts(run_dir: Path) -> list[dict[str, Any]]:
    """What has to be the same: rows and hash of each mixture, and the losses."""
    summary = json.loads((run_dir / "summary.json").read_text())
    return [
        {
            "iteration": entry["iteration"],
            "mixture": entry["mixture"]["sha256"],
            "rows": entry["mixture"]["rows"],
            "last_loss": round(entry["training"]["last_loss"], 4),
        }
        for entry in summary["iterations"]
    ]


if __name__ == "__main__":
    sys.exit(main())
