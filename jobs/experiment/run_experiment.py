"""Does SIKeD help? Its arms and baselines on the demo's world, over seeds and two sizes of student.

    python jobs/experiment/run_experiment.py            # runs what is missing, then writes docs/experiment.md
    python jobs/experiment/run_experiment.py --report   # only writes the page, from the arms that are finished

Each arm is a `siked run` of its own, two at a time; the same command goes on where an interrupted one stood. All arms
share the teacher's rollouts, and the iterated ones their iteration 0 (`start_from`), so that one seed's are paired.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent))

from arms import ARMS, RATIONALES, SEEDS, SIZES, TEACHER, Task
from page import write_page
from rationales import write_rationales
from running import Runs, is_finished

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]


class Experiment:
    """Runs below `root`. `overrides` change the base settings of all arms alike."""

    def __init__(self, root: Path, overrides: Sequence[str], num_parallel: int) -> None:
        self._root = root.resolve()
        self._runs = Runs(self._root, HERE / "base.yaml", overrides, num_parallel)
        self._teacher = self._root / "teacher"

    def run(self, tasks: Sequence[Task]) -> list[str]:
        """Run what is not finished; returns the names of the tasks that failed or could not be run."""
        if not self._runs.finish(self._teacher.name, [*TEACHER, f"run_dir={self._teacher}"]):
            return ["teacher"]
        if any(task.arm.gaps for task in tasks):
            write_rationales(self._teacher, self._root / RATIONALES)
        failed: list[str] = []
        for size in SIZES:  # the first run of a size makes its base student, so it is not run beside another one
            first = [task for task in tasks if task.size == size][:1]
            others = [task for task in tasks if task.size == size and task not in first]
            failed += self._runs.in_parallel(first, self._settings) + self._runs.in_parallel(others, self._settings)
        return failed

    def _settings(self, task: Task) -> list[str]:
        epochs = None
        if task.arm.matched_to:
            run = self._root / task.beside(task.arm.matched_to).name
            first = self._root / task.beside("combined").name
            epochs = matched_epochs(run, task.arm.matched_iteration, run if task.arm.matched_iteration else first)
        return task.overrides(self._root, self._teacher, epochs)


def matched_epochs(run: Path, iteration: int, trained: Path) -> int:
    """Epochs over the mixture of an iteration of a run that take at least as many optimizer steps as all iterations of
    that run; `trained` is the run that did this iteration."""
    epochs = yaml.safe_load((trained / "config.yaml").read_text())["training"]["epochs"]
    steps = [entry["training"]["steps"] for entry in json.loads((run / "summary.json").read_text())["iterations"]]
    return math.ceil(epochs * sum(steps) / steps[iteration])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=PROJECT / "runs" / "experiment")
    parser.add_argument("--page", type=Path, default=PROJECT / "docs" / "experiment.md")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--arms", nargs="+", default=[arm.name for arm in ARMS], choices=[arm.name for arm in ARMS])
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="runs side by side (default: 2)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change all arms' settings")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    tasks = [
        Task(size=size, seed=seed, arm=arm)
        for size in options.sizes
        for seed in options.seeds
        for arm in ARMS
        if arm.name in options.arms
    ]
    failed = [] if options.report else Experiment(options.root, options.set, options.parallel).run(tasks)
    write_page(options.page, options.root, [task for task in tasks if is_finished(options.root / task.name)])
    print(f"{options.page} is written." + (f" Not finished: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
