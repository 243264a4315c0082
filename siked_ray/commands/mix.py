"""`siked mix`: recompute a mixture from stored rollouts, without any generation."""

import argparse
import json
from typing import Any

SUMMARY = "recompute a mixture from stored rollouts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--iteration", type=int, required=True, metavar="N")
    parser.add_argument("--policy", help="another policy than the run's")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.driver.what_if import recompute_mixture

    counts = recompute_mixture(options.run, options.iteration, options.policy)
    print(json.dumps(counts, indent=2) if options.json else _text(counts))
    return 0


def _text(counts: dict[str, Any]) -> str:
    lines = [f"iteration {counts['iteration']} · policy {counts['policy']}", _line("all", counts)]
    lines += [_line(name, one) for name, one in counts["by_strategy"].items()]
    return "\n".join([*lines, f"sha256 {counts['sha256']}"])


def _line(name: str, counts: dict[str, Any]) -> str:
    alpha = "-" if counts["alpha"] is None else f"{counts['alpha']:.3f}"
    return (
        f"{name:<6} rows {counts['rows']:>7,}  teacher {counts['teacher_rows']:>7,}  "
        f"student {counts['student_rows']:>7,}  α {alpha}"
    )
