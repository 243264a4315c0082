"""`siked merge`: one model out of several that were trained from the same base."""

import argparse
import json
from pathlib import Path
from typing import Any

SUMMARY = "make one model out of several that were trained from the same base"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="model directory, .gguf file or Hub name that all began with")
    parser.add_argument("--models", nargs="+", required=True, metavar="MODEL")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER")
    parser.add_argument(
        "--rule",
        choices=("metagpt", "average", "task_arithmetic"),
        default="metagpt",
        help="metagpt: by the squared lengths of the task vectors (default); task_arithmetic: by --weights",
    )
    parser.add_argument("--weights", nargs="+", type=float, metavar="λ", help="one for all models, or one for each")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.data.model_folder import local_model
    from siked_ray.data.same_tokens import check_same_tokenizers
    from siked_ray.errors import ConfigError
    from siked_ray.preflight.offline import do_without_an_unreachable_hub
    from siked_ray.training.compute.merging import merge_weights

    output = Path(options.output).expanduser()
    if output.exists():
        raise ConfigError(f"{output} is there already; name a folder that is not, or remove it.")
    names = _names(options.models)
    rule = _rule(options, names)
    do_without_an_unreachable_hub()
    base = Path(local_model(options.base))
    parts = {name: Path(local_model(model)) for name, model in zip(names, options.models, strict=True)}
    check_same_tokenizers(base, parts)
    try:
        figures = merge_weights(base, parts, rule, output)
    except OSError as error:
        raise ConfigError(f"Cannot write {output}: {error}") from None
    print(json.dumps(figures | {"output": str(output)}, indent=2) if options.json else _text(figures, output))
    return 0


def _names(models: list[str]) -> list[str]:
    """The last part of each path; the whole one where two are the same."""
    from collections import Counter

    short = [Path(model).name for model in models]
    counted = Counter(short)
    return [one if counted[one] == 1 else model for one, model in zip(short, models, strict=True)]


def _rule(options: argparse.Namespace, names: list[str]) -> Any:
    from siked_ray.core.merge_rule import MergeRule, RuleName
    from siked_ray.errors import ConfigError

    if len(set(names)) < len(names):
        raise ConfigError("--models names one model twice.")
    rule = RuleName(options.rule)
    if (rule is RuleName.GIVEN) != (options.weights is not None):
        raise ConfigError("--weights go with --rule task_arithmetic, and it needs them; other rules find their own.")
    if rule is not RuleName.GIVEN:
        return MergeRule(rule=rule)
    weights = options.weights * (len(names) if len(options.weights) == 1 else 1)
    if len(weights) != len(names):
        raise ConfigError(f"--weights has {len(weights)} numbers for {len(names)} models; give one, or one for each.")
    return MergeRule(rule=rule, weights=dict(zip(names, weights, strict=True)))


def _text(figures: dict[str, Any], output: Path) -> str:
    width = max(map(len, figures["weights"]))
    lines = []
    for name, weight in figures["weights"].items():
        norm, unmoved = figures["norms"][name], figures["unmoved"][name]
        lines.append(f"{name:<{width}}  λ {weight:.5f}  ‖τ‖ {norm:.6g}  as in the base {unmoved:.1%}")
    for pair, cosine in figures["cosines"].items():
        lines.append(f"cosine {pair}: {'–' if cosine is None else f'{cosine:.4f}'}")
    lines.append(f"bound on the summed loss differences: {figures['loss_bound']:.6g}")
    lines += [f"warning: {warning}" for warning in figures["warnings"]]
    return "\n".join([*lines, f"{output} ({figures['parameters']:,} parameters)"])
