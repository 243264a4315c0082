"""`siked run`: run, or continue, the whole loop."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siked_ray.data.storage import Storage

SUMMARY = "run, or continue, the whole loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")


def execute(options: argparse.Namespace) -> int:
    from siked_ray.config import load_config
    from siked_ray.data.storage import Storage
    from siked_ray.launch.directory_state import check_run_directory, check_writable
    from siked_ray.preflight.check import check
    from siked_ray.preflight.offline import do_without_an_unreachable_hub

    do_without_an_unreachable_hub()
    config = load_config(options.config, options.overrides)
    storage = Storage(config.run_dir)
    state = check_run_directory(config, storage)
    if state == "finished":
        print(f"{storage.root} is finished; nothing is left to do.", file=sys.stderr)
        _print_results(storage)
        return 0
    check_writable(storage)
    checked = check(config)
    print(_opening(state, storage, len(checked.train), len(checked.validation)), file=sys.stderr)
    for note in checked.notes:
        print(f"note: {note}", file=sys.stderr)

    from siked_ray.launch.session import execute as run_session
    from siked_ray.report.screen.bars import ScreenProgress

    with ScreenProgress() as progress:
        run_session(config, checked, progress.show)
    _print_results(storage)
    return 0


def _opening(state: str, storage: "Storage", num_train: int, num_validation: int) -> str:
    verb = "Continuing" if state == "started" else "Starting"
    return f"{verb} {storage.root}: {num_train:,} training problems, {num_validation:,} held out."


def _print_results(storage: "Storage") -> None:
    from siked_ray.data import run_directory as names
    from siked_ray.report.table import print_results

    print_results(storage.read_json(names.SUMMARY), best_student=lambda n: storage.path(names.student(n)))
