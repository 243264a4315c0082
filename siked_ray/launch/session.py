"""From the command line to the driver actor: connects to Ray, starts or joins the driver, shows the board, waits.

A session that is told to stop (Ctrl-C, `ray job stop`, a Slurm time limit) takes the run with it, which keeps what it
has first; told twice, it ends at once. One that is lost takes nothing with it: on a cluster the driver goes on, and
the same command joins it.
"""

import getpass
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from siked_ray.capacity.engine_specs import cpus_wanted
from siked_ray.config import Config
from siked_ray.core.ids import content_hash
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.board import StageProgress, as_sign_of_life
from siked_ray.driver.board_client import Board
from siked_ray.driver.failures import as_siked_error
from siked_ray.driver.inputs import write_inputs
from siked_ray.errors import SikedError, StageError, UserError
from siked_ray.launch.actors import NAMESPACE, RunActors, end, start_or_join
from siked_ray.launch.shared_storage import check_run_directory_is_shared
from siked_ray.preflight.check import Checked

_REFRESH_S = 0.5
_CALL_TIMEOUT_S = 10.0
#: A driver whose node was lost is started again within seconds, or once another node is there.
_LOST_FOR_GOOD_S = 600.0

Show = Callable[[list[StageProgress]], None]


def execute(config: Config, checked: Checked, show: Show, make_lab: Callable[..., Any] | None = None) -> None:
    """Run, continue or join a run to its end; raises the SikedError that ended it early."""
    log_dir = _log_dir(config)
    with connected(config, f"{log_dir}/client.log"):
        storage = Storage(config.run_dir)
        try:
            check_run_directory_is_shared(storage)
            inputs = write_inputs(config, checked, storage)
        except OSError as problem:
            raise as_siked_error(problem, log_dir) from problem
        actors = start_or_join(config, inputs, log_dir, make_lab)
        try:
            with _stopped_by_signals():
                error = _follow(actors, show, log_dir)
        except KeyboardInterrupt:
            end([actors.driver])
            _note_stop(storage, actors.board)
            end([actors.board.actor])
            raise
        end([actors.driver, actors.board.actor])
    if error is not None:
        raise error


@contextmanager
def connected(config: Config, client_log: str) -> Iterator[None]:
    """Connected to Ray while the body runs; what libraries print in this process goes to `client_log`, and the
    screen belongs to the progress."""
    try:
        Path(client_log).parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise as_siked_error(problem, client_log) from problem
    with open(client_log, "a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        _connect(config)
        import ray

        try:
            yield
        finally:
            ray.shutdown()


def _follow(actors: RunActors, show: Show, log_dir: str) -> SikedError | None:
    """Show the board until the run has ended, or until it has kept what it has after a KeyboardInterrupt."""
    try:
        return _until_ended(actors, show, log_dir)
    except KeyboardInterrupt:
        _stop(actors, show)
        raise


def _until_ended(actors: RunActors, show: Show, log_dir: str) -> SikedError | None:
    """A driver that is being started again is waited for."""
    import ray

    last_heard = time.monotonic()
    while time.monotonic() - last_heard < _LOST_FOR_GOOD_S:
        try:
            ended = ray.get(actors.driver.ended.remote(), timeout=_CALL_TIMEOUT_S)
            last_heard = time.monotonic()
        except (ray.exceptions.ActorUnavailableError, ray.exceptions.GetTimeoutError):
            ended = None
        except ray.exceptions.RayError as error:
            return _lost(error, log_dir)
        with suppress(ray.exceptions.RayError):
            show(actors.board.snapshot(timeout_s=_CALL_TIMEOUT_S))
        if ended is not None:
            return ended.error
        time.sleep(_REFRESH_S)
    return StageError(
        f"The driver has not been heard of for {_LOST_FOR_GOOD_S:.0f} s (see {log_dir}). Run the same command again; "
        "it continues from what is committed."
    )


def _stop(actors: RunActors, show: Show) -> None:
    """Tell the driver to stop, and show the board until it has kept what it has."""
    import ray

    with suppress(ray.exceptions.RayError):
        stopped = actors.driver.stop.remote()
        while not ray.wait([stopped], timeout=_REFRESH_S)[0]:
            show(actors.board.snapshot(timeout_s=_CALL_TIMEOUT_S))


def _note_stop(storage: Storage, board: Board) -> None:
    import ray

    with suppress(ray.exceptions.RayError, OSError):
        stages = board.snapshot(timeout_s=1.0)
        storage.write_json(names.PROGRESS, as_sign_of_life(stages, state="stopped"))


def _lost(error: Exception, log_dir: str) -> SikedError:
    reason = [line for line in str(error).splitlines() if line.strip()]
    return StageError(
        f"The driver was lost: {reason[-1] if reason else error!r} (see {log_dir}). Run the same command again; it "
        "continues from what is committed."
    )


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM, which `ray job stop`, Slurm and Kubernetes send, is answered like Ctrl-C while the body runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _connect(config: Config) -> None:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine for the length of the run."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    quiet: dict[str, Any] = {
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    if address := os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(**quiet)
        except ConnectionError as error:
            raise UserError(
                f"No Ray cluster answers at RAY_ADDRESS={address} ({str(error).splitlines()[0]}). Start it, correct "
                "the address, or unset RAY_ADDRESS to run on this machine alone."
            ) from None
        return
    # On one's own machine CPUs are only Ray's bookkeeping: idle engines and training workers share the cores.
    num_cpus = max(int(cpus_wanted(config)) + 1, os.cpu_count() or 1)
    ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)


def _log_dir(config: Config) -> str:
    """Where engines and workers write what they have to say: in the run directory where that is a local one, else in
    a folder of each node."""
    storage = Storage(config.run_dir)
    if storage.is_local:
        return storage.path("logs")
    return f"{tempfile.gettempdir()}/siked-{getpass.getuser()}-{content_hash(storage.root, num_chars=12)}"
