"""From the command line to the driver actor: connects to Ray, starts the driver, shows the board, waits."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from siked_ray.config import Config
from siked_ray.data.storage import Storage
from siked_ray.driver.board import ProgressBoard, StageProgress
from siked_ray.driver.placement import cpus_wanted
from siked_ray.driver.preflight import Checked
from siked_ray.driver.run import Driver
from siked_ray.errors import SikedError, StageError

_REFRESH_S = 0.5

Show = Callable[[list[StageProgress]], None]


def execute(config: Config, checked: Checked, show: Show) -> None:
    """Run, or continue, a run to its end; raises the SikedError that ended it early."""
    log_dir = _log_dir(config)
    with connected(config, f"{log_dir}/client.log"):
        import ray

        board: Any = ray.remote(ProgressBoard).options(num_cpus=0).remote()
        driver_actor: Any = ray.remote(Driver).options(num_cpus=0, max_concurrency=2)
        outcome = driver_actor.remote(config, _portable(checked), board, log_dir).run.remote()
        while not ray.wait([outcome], timeout=_REFRESH_S)[0]:
            show(ray.get(board.snapshot.remote()))
        show(ray.get(board.snapshot.remote()))
        error = _result(outcome, log_dir)
    if error is not None:
        raise error


@contextmanager
def connected(config: Config, client_log: str) -> Iterator[None]:
    """Connected to Ray while the body runs; what libraries print in this process goes to `client_log`, and the
    screen belongs to the progress."""
    Path(client_log).parent.mkdir(parents=True, exist_ok=True)
    with open(client_log, "a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        _connect(config)
        import ray

        try:
            yield
        finally:
            ray.shutdown()


def _result(outcome: Any, log_dir: str) -> SikedError | None:
    import ray

    try:
        return ray.get(outcome)
    except ray.exceptions.RayError as error:
        reason = [line for line in str(error).splitlines() if line.strip()]
        return StageError(
            f"The driver was lost: {reason[-1] if reason else error!r} (see {log_dir}). Run the same command again; it "
            "continues from what is committed."
        )


def _connect(config: Config) -> None:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine for the length of the run."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return
    # On one's own machine CPUs are only Ray's bookkeeping: idle engines and training workers share the cores.
    num_cpus = max(int(cpus_wanted(config)) + 1, os.cpu_count() or 1)
    ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)


def _log_dir(config: Config) -> str:
    """Where engines and workers write what they have to say: in the run directory where that is a local one."""
    storage = Storage(config.run_dir)
    return storage.path("logs") if storage.is_local else tempfile.mkdtemp(prefix="siked-logs-")


def _portable(checked: Checked) -> Checked:
    """Without the tokenizers, which the driver does not need."""
    models = {role: replace(facts, tokenizer=None) for role, facts in checked.models.items()}
    return replace(checked, models=models)
