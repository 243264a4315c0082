"""What a setting changes: the arms of two folders of runs, which differ in `--set` alone, paired over their seeds.

run=jobs/experiment/run_experiment.py; arms="--sizes small --arms combined all"
python $run --root runs/apart --page runs/apart.md $arms
mkdir -p runs/shared && cp -r runs/apart/teacher runs/shared/
python $run --root runs/shared --page runs/shared.md $arms --set training.shared_prompts=true
python jobs/experiment/compare_roots.py runs/apart runs/shared
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from arms import ARMS, SEEDS, SIZES, Task
from page import best_on_test

from siked_ray.evaluation.seeds import compare_over_seeds


def accuracies(root: Path, size: str, arm: str) -> Mapping[int, float]:
    """Free accuracy on the test set by seed, of the runs that are finished."""
    found = {}
    for seed in SEEDS:
        task = Task(size=size, seed=seed, arm=next(one for one in ARMS if one.name == arm))
        summary = root / task.name / "summary.json"
        if summary.exists() and (read := json.loads(summary.read_text()))["status"] == "finished":
            found[seed] = best_on_test(read)["free"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    for size in SIZES:
        for arm in (one.name for one in ARMS):
            before, after = (accuracies(root, size, arm) for root in (options.before, options.after))
            seeds = sorted(before.keys() & after.keys())
            if len(seeds) < 2:
                continue
            compared = compare_over_seeds([after[seed] - before[seed] for seed in seeds])
            low, high = compared.interval
            means = f"{_mean(before, seeds):.1%} -> {_mean(after, seeds):.1%}"
            print(
                f"{size} {arm}: {means}, {compared.mean * 100:+.1f} points "
                f"({low * 100:+.1f} to {high * 100:+.1f}), {len(seeds)} seeds, p {compared.p_t:.3f}"
            )


def _mean(values: Mapping[int, float], seeds: list[int]) -> float:
    return sum(values[seed] for seed in seeds) / len(seeds)


if __name__ == "__main__":
    main()
