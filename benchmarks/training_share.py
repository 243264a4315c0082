"""Which share of each training stage of a run is not optimizer steps: start, data, checkpoints, export.

python benchmarks/training_share.py RUN
"""

import json
import sys
from pathlib import Path


def main(run: Path) -> None:
    for record in sorted((run / "ledger").glob("training_*.json")):
        stage = json.loads(record.read_text())
        metrics, total = stage["metrics"], stage["seconds"]
        parts = {name: f"{seconds:.1f}" for name, seconds in metrics["overhead_s"].items()}
        start = total - metrics["seconds"] - sum(metrics["overhead_s"].values())
        compute_s = metrics["seconds"] - metrics["waited_s"]
        print(
            f"{stage['stage']}: {total:.1f} s, {metrics['steps']} steps and {metrics['tokens']:,} tokens in "
            f"{metrics['seconds']:.1f} s; not compute {1 - compute_s / total:.1%} "
            f"(start, end and checkpoints {start:.1f} s, waiting for data {metrics['waited_s']:.1f} s, {parts}); "
            f"padding {metrics['padding']:.2%}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
