"""`siked eval`: accuracies with intervals, and strategy histogram, of a student on any problems."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

SUMMARY = "free, forced, majority and oracle accuracy of a student"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--data", required=True, metavar="FILE_OR_HUB_NAME")
    parser.add_argument("--prompts", help="`default`, `world` or a YAML file (default: the run's, else `default`)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most this many problems")
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="tokens per completion (default: the run's, else 1024)"
    )
    parser.add_argument("--samples", type=int, metavar="K", help="also K free completions each at T > 0: pass@k")
    parser.add_argument("--temperature", type=float, metavar="T", help="T of these samples (default: 0.7)")
    parser.add_argument("--top-p", type=float, metavar="P", help="nucleus of these samples (default: 0.95)")
    parser.add_argument("--level-column", metavar="NAME", help="column to break accuracies down by")
    parser.add_argument(
        "--gpus", type=float, default=0.0, help="engines of one GPU each, or a share of one (default: 0, the CPU build)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.errors import UserError
    from siked_ray.launch.evaluate_model import evaluate_model
    from siked_ray.preflight.offline import do_without_an_unreachable_hub
    from siked_ray.report.screen.bars import ScreenProgress

    samples = {"samples": options.samples, "temperature": options.temperature, "top_p": options.top_p}
    samples = {name: value for name, value in samples.items() if value is not None}
    if samples and options.samples is None:
        raise UserError("--temperature and --top-p are of the samples that --samples K asks for; add --samples.")
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
            samples=samples,
            level_column=options.level_column,
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
    if read := metrics.get("harness"):
        shown = ", ".join(f"{name.replace('_', '-')} {accuracy:.1%}" for name, accuracy in read.items())
        print(f"free, as lm-evaluation-harness reads it: {shown}")
    for line in (*_sampled_lines(metrics.get("samples")), *_level_lines(metrics.get("levels", {}))):
        print(line)
    return 0


def _sampled_lines(samples: dict[str, Any] | None) -> Iterator[str]:
    if samples is None:
        return
    intervals, number = samples["intervals"], samples["num_samples"]
    yield f"{number} samples at T = {samples['temperature']:g}, top_p = {samples['top_p']:g}"
    yield _line(f"avg@{number}", samples["average"], intervals["average"])
    for key, name in (("pass_at", "pass"), ("majority_at", "majority")):
        for k, value in samples[key].items():
            yield _line(f"{name}@{k}", value, intervals[key][k])


def _level_lines(levels: dict[str, Any]) -> Iterator[str]:
    for name, one in levels.items():
        forced = " ".join(f"{strategy} {accuracy:.1%}" for strategy, accuracy in one["forced"].items())
        yield f"{_line(name, one['free'], one['interval'])} of {one['num_problems']:,} problems, forced {forced}"


def _line(name: str, accuracy: float, interval: tuple[float, float]) -> str:
    return f"{name:<8} {accuracy:6.1%} (95% interval {interval[0]:.1%} to {interval[1]:.1%})"
