"""`siked mix`: recompute mixtures from stored rollouts, without any generation."""

import argparse
import json
from typing import Any

SUMMARY = "recompute a mixture from stored rollouts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--iteration", type=int, metavar="N", help="default: every iteration that was sampled")
    parser.add_argument("--policy", help="another policy than the run's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="mixture.KEY=VALUE", help="other parameters of the policy"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.report.what_if import recompute_mixture, sampled_iterations

    overrides = [*([f"mixture.policy={options.policy}"] if options.policy else []), *options.set]
    chosen = options.iteration
    iterations = sampled_iterations(options.run) if chosen is None else [chosen]
    mixtures = [recompute_mixture(options.run, iteration, overrides) for iteration in iterations]
    if options.json:
        print(json.dumps(mixtures if chosen is None else mixtures[0], indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(_text(mixture) for mixture in mixtures))
    return 0


def _text(counts: dict[str, Any]) -> str:
    divergence = counts["kl_mixture_student"]
    lines = [f"iteration {counts['iteration']} · policy {counts['policy']} · {counts['reason']}", _line("all", counts)]
    lines += [_line(name, one) for name, one in counts["by_strategy"].items()]
    lines += [] if divergence is None else [f"KL(P_train ‖ P_student) {divergence:.4f}"]
    return "\n".join([*lines, f"sha256 {counts['sha256']}", *_difference(counts["difference"])])


def _line(name: str, counts: dict[str, Any]) -> str:
    alpha = "-" if counts["alpha"] is None else f"{counts['alpha']:.3f}"
    return (
        f"{name:<6} rows {counts['rows']:>7,}  teacher {counts['teacher_rows']:>7,}  "
        f"student {counts['student_rows']:>7,}  α {alpha}"
    )


def _difference(difference: dict[str, Any] | None) -> list[str]:
    if difference is None:
        return ["this iteration has not been trained yet"]
    if not difference["added"] and not difference["removed"]:
        return ["the same rows as were trained on"]
    return [
        f"{difference[side]:,} rows {words}: " + ", ".join(_changed(one) for one in difference[f"{side}_by_source"])
        for side, words in (("added", "that were not trained on"), ("removed", "fewer than were trained on"))
        if difference[side]
    ]


def _changed(change: dict[str, Any]) -> str:
    return f"{change['source']} {change['strategy']} {change['rows']:,}"
