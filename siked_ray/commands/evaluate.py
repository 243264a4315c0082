"""`siked eval`: accuracies with intervals, and strategy histogram, of a student on any problems."""

import argparse
import json
import sys

SUMMARY = "free, forced, majority and oracle accuracy of a student"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--data", required=True, metavar="FILE_OR_HUB_NAME")
    parser.add_argument("--prompts", help="`default`, `world` or a YAML file (default: the run's, else `default`)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most this many problems")
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="tokens per completion (default: the run's, else 1024)"
    )
    parser.add_argument(
        "--gpus", type=float, default=0.0, help="engines of one GPU each, or a share of one (default: 0, the CPU build)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.launch.evaluate_model import evaluate_model
    from siked_ray.preflight.offline import do_without_an_unreachable_hub
    from siked_ray.report.screen.bars import ScreenProgress

    do_without_an_unreachable_hub()
    with ScreenProgress() as progress:
        metrics = evaluate_model(
            options.model,
            options.data,
            prompts=options.prompts,
            limit=options.limit,
            max_new_tokens=options.max_new_tokens,
            num_gpus=options.gpus,
            trust_remote_code=options.trust_remote_code,
            show=progress.show,
        )
    if options.json:
        json.dump(metrics, sys.stdout, indent=2)
        print()
        return 0
    print(f"problems {metrics['num_problems']:,}")
    for name in ("free", "oracle", "majority"):
        print(_line(name, metrics[name], metrics["intervals"][name]))
    for name, accuracy in metrics["forced"].items():
        share = metrics["strategy_histogram"][name]
        print(f"{_line(name, accuracy, metrics['intervals']['forced'][name])} forced, chosen for {share:.1%}")
    return 0


def _line(name: str, accuracy: float, interval: tuple[float, float]) -> str:
    return f"{name:<8} {accuracy:6.1%} (95% interval {interval[0]:.1%} to {interval[1]:.1%})"
