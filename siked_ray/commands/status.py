"""`siked status`: how far a run is, from its directory alone."""

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from siked_ray.data.storage import Storage

SUMMARY = "how far a run is, from its directory alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def execute(options: argparse.Namespace) -> int:
    import json
    import time

    from siked_ray.data import run_directory as names
    from siked_ray.data.ledger import Ledger
    from siked_ray.data.storage import Storage
    from siked_ray.report.screen.run_status import as_text, status_of
    from siked_ray.report.view import SIKED
    from siked_ray.report.what_if import read_config

    storage = Storage(options.run)
    config = read_config(storage)
    summary = storage.read_json(names.SUMMARY) if storage.exists(names.SUMMARY) else {"status": "new"}
    status = status_of(
        run=storage.root,
        records=Ledger(storage).records(),
        summary=summary,
        sign_of_life=_sign_of_life(storage),
        max_iterations=config.iterations.max if config.recipe == SIKED else None,
        now=time.time(),
    )
    print(json.dumps(status, indent=2, ensure_ascii=False) if options.json else as_text(status))
    return 0


def _sign_of_life(storage: "Storage") -> dict[str, Any] | None:
    """What the driver wrote last; None without it, and where it is damaged, since the ledger knows all that counts."""
    from siked_ray.data import run_directory as names
    from siked_ray.errors import DataError

    with suppress(DataError):
        if storage.exists(names.PROGRESS):
            return storage.read_json(names.PROGRESS)
    return None
