"""`siked plan`: validate everything and show what a run would do, without generating or training."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from siked_ray.capacity.cluster_file import NodeGroup
    from siked_ray.config import Config
    from siked_ray.preflight.check import Checked
    from siked_ray.preflight.cost import Rates

SUMMARY = "validate everything and show what a run would do"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument(
        "--cluster",
        metavar="FILE",
        help="a RayCluster or RayJob of KubeRay, a cluster of `ray up` or a Slurm script: does the job fit?",
    )
    parser.add_argument(
        "--assume",
        nargs="+",
        metavar="NAME=NUMBER",
        help="what you know of speed and prices, for hours and cost: see docs/cluster.md",
    )
    parser.add_argument(
        "--discordance",
        metavar="SHARE|RUN",
        help="what share of the problems one of two students solves alone, or a run that says so (default: 0.2)",
    )


def execute(options: argparse.Namespace) -> int:
    from siked_ray.config import dump_config, load_config
    from siked_ray.data.storage import Storage
    from siked_ray.launch.directory_state import check_run_directory, check_writable
    from siked_ray.preflight.check import check
    from siked_ray.preflight.cost import server_lines
    from siked_ray.preflight.forecast import first_prompts, forecast, stage_lines
    from siked_ray.preflight.offline import do_without_an_unreachable_hub
    from siked_ray.preflight.power import power_lines, read_discordance

    groups = _groups(options.cluster)
    rates = _rates(options.assume)
    discordance = read_discordance(options.discordance)
    do_without_an_unreachable_hub()
    config = load_config(options.config, options.overrides)
    storage = Storage(config.run_dir)
    state = check_run_directory(config, storage)
    if state != "finished" and groups is None:  # with a cluster's file, the directory is that cluster's
        check_writable(storage)
    checked = check(config, offline_is_fine=True)
    print(f"# settings (run directory: {state})\n{dump_config(config)}")
    for title, prompt in first_prompts(config, checked).items():
        print(f"# {title}\n{prompt}\n")
    print("# what a run would do")
    lines = forecast(config, checked) | power_lines(checked, discordance) | server_lines(config, checked)
    for name, value in lines.items():
        print(f"{name:<34} {value}")
    _print_stages(stage_lines(config, checked))
    if rates is not None:
        _print_cost(config, checked, rates)
    for note in checked.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0 if groups is None or _fits(config, groups, options.cluster) else 2


def _groups(path: str | None) -> "list[NodeGroup] | None":
    from siked_ray.capacity.cluster_file import read_cluster

    return read_cluster(path) if path else None


def _rates(assumptions: list[str] | None) -> "Rates | None":
    from siked_ray.preflight.cost import read_rates

    return read_rates(assumptions) if assumptions else None


def _print_stages(lines: "Mapping[str, str]") -> None:
    if lines:
        print("\n# its stages, at most")
    for names, value in lines.items():
        print(f"{names:<34} {value}")


def _print_cost(config: "Config", checked: "Checked", rates: "Rates") -> None:
    from siked_ray.preflight.cost import estimate, lines

    print("\n# hours and cost, by what --assume says")
    for name, value in lines(estimate(config, checked, rates), rates).items():
        print(f"{name:<34} {value}")


def _fits(config: "Config", groups: "list[NodeGroup]", path: str) -> bool:
    """Print what each kind of stage calls up; False when one of them cannot be placed."""
    from siked_ray.capacity.autoscaler import stages_on

    print(f"\n# on the cluster of {path}")
    stages = stages_on(config, groups)
    for title, (demand, called) in stages.items():
        nodes = ", ".join(f"{count} x {name}" for name, count in called.nodes.items()) or "none beyond those there"
        print(
            f"{title:<34} {demand.what}: {f'does not fit: {called.lacking}' if called.lacking else f'calls up {nodes}'}"
        )
    fits = not any(called.lacking for _, called in stages.values())
    print(f"{'the job fits':<34} {'yes' if fits else 'no; add nodes to the file, or ask for less'}")
    return fits
