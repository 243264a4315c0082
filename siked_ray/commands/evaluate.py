"""`siked eval`: accuracies with intervals, and strategy histogram, of a student on any problems; with `--cascade`, what
it is worth to ask a second model where the student is unsure."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from siked_ray.launch.evaluate_cascade import CascadeOptions

SUMMARY = "free, forced, majority and oracle accuracy of a student; or that of a cascade of two models"


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
    group = parser.add_argument_group(
        "cascade", "MODEL answers, and LARGE is asked where it is unsure (docs/two_tier.md)"
    )
    group.add_argument("--cascade", metavar="LARGE", help="a second model; NAME@http://… for one behind a server")
    group.add_argument("--budget", type=float, help="per problem, in the unit of the costs")
    group.add_argument("--costs", nargs=2, type=float, metavar=("SMALL", "LARGE"), help="of a problem")
    group.add_argument(
        "--prices",
        nargs=4,
        type=float,
        metavar=("P1", "G1", "P2", "G2"),
        help="of a million tokens, of prompts and generated, of MODEL and of LARGE; instead of --costs",
    )
    group.add_argument("--margin", help="first_token, tag, mean (default) or votes")
    group.add_argument("--rule", help="ours (default) or published")
    group.add_argument("--few-shot", metavar="STRATEGY", help="ask LARGE as a teacher for this, not as a student")
    group.add_argument("--api", choices=("chat", "completions"), default="chat", help="of servers (default: chat)")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.launch.evaluate_cascade import evaluate_cascade
    from siked_ray.launch.evaluate_model import evaluate_model
    from siked_ray.preflight.offline import do_without_an_unreachable_hub
    from siked_ray.report.screen.bars import ScreenProgress

    cascade, samples = _cascade(options), _samples(options)
    do_without_an_unreachable_hub()
    with ScreenProgress() as progress:
        shared: dict[str, Any] = {
            "prompts": options.prompts,
            "limit": options.limit,
            "max_new_tokens": options.max_new_tokens,
            "num_gpus": options.gpus,
            "trust_remote_code": options.trust_remote_code,
            "show": progress.show,
        }
        if cascade:
            found = evaluate_cascade(options.model, options.data, cascade, **shared)
        else:
            own: dict[str, Any] = {"samples": samples, "level_column": options.level_column}
            found = evaluate_model(options.model, options.data, **shared, **own)
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        print("\n".join(_cascade_lines(found) if cascade else _lines(found)))
    return 0


def _samples(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of evaluation for `--samples`; UserError for options that go with it alone."""
    from siked_ray.errors import UserError

    given = {"samples": options.samples, "temperature": options.temperature, "top_p": options.top_p}
    samples = {name: value for name, value in given.items() if value is not None}
    if samples and options.samples is None:
        raise UserError("--temperature and --top-p are of the samples that --samples K asks for; add --samples.")
    if options.cascade and (samples or options.level_column):
        raise UserError("--samples and --level-column are about one model; leave --cascade out.")
    return samples


def _cascade(options: argparse.Namespace) -> "CascadeOptions | None":
    """ConfigError for options of a cascade that do not go together."""
    from siked_ray.errors import ConfigError
    from siked_ray.launch.evaluate_cascade import CascadeOptions

    own = {name: getattr(options, name) for name in ("budget", "costs", "margin", "rule")}
    if options.prices:
        own["prices"] = {"small": options.prices[:2], "large": options.prices[2:]}
    given = {name: value for name, value in own.items() if value is not None}
    if options.cascade is None:
        if given or options.few_shot:
            raise ConfigError("--budget, --costs, --prices, --margin, --rule and --few-shot go with --cascade LARGE.")
        return None
    if options.budget is None:
        raise ConfigError("--cascade needs --budget: what a problem may cost, in the unit of --costs or --prices.")
    return CascadeOptions(large=options.cascade, few_shot=options.few_shot, api=options.api, options=given)


def _lines(metrics: dict[str, Any]) -> list[str]:
    lines = [f"problems {metrics['num_problems']:,}"]
    lines += [_line(name, metrics[name], metrics["intervals"][name]) for name in ("free", "oracle", "majority")]
    for name, accuracy in metrics["forced"].items():
        share = metrics["strategy_histogram"][name]
        lines.append(f"{_line(name, accuracy, metrics['intervals']['forced'][name])} forced, chosen for {share:.1%}")
    if read := metrics.get("harness"):
        shown = ", ".join(f"{name.replace('_', '-')} {accuracy:.1%}" for name, accuracy in read.items())
        lines.append(f"free, as lm-evaluation-harness reads it: {shown}")
    return [*lines, *_sampled_lines(metrics.get("samples")), *_level_lines(metrics.get("levels", {}))]


def _cascade_lines(figures: dict[str, Any]) -> list[str]:
    (point,) = figures["curve"]
    costs = dict(zip(("small", "large"), figures["costs"], strict=True))
    lines = [f"problems {figures['num_problems']:,}"]
    lines += [
        f"{_line(name, figures[name]['accuracy'], figures[name]['interval'])} for {cost:g} a problem"
        for name, cost in costs.items()
    ]
    lines += [
        f"{_line('cascade', point['accuracy'], point['interval'])} for {point['cost']:g} of {point['budget']:g}, "
        f"{point['escalated']:.1%} escalated",
        f"{'random':<8} {point['random']:6.1%} at equal cost",
        f"{'oracle':<8} {point['oracle']:6.1%} at this budget",
    ]
    return [*lines, *([figures["remark"]] if figures["remark"] else [])]


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
