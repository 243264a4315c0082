"""The driver actor of a run.

It starts by itself as soon as Ray has made it, here or again on another node, and continues from the ledger. Nobody
has to wait for it: whoever wants to know asks `ended`.
"""

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from siked_ray.capacity.await_capacity import StagePlacement, release_nodes
from siked_ray.capacity.engine_specs import engine_spec, fit_side_by_side, pool_size
from siked_ray.config import Config, dump_config
from siked_ray.core.stage import TEACHER, Kind
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord, of_kind
from siked_ray.data.storage import Storage
from siked_ray.driver.board_client import Board
from siked_ray.driver.engines import EnginePools
from siked_ray.driver.failures import as_siked_error
from siked_ray.driver.heartbeat import SignOfLife
from siked_ray.driver.inputs import RunInputs
from siked_ray.driver.lab import RayLab
from siked_ray.driver.world_models import resolve_models
from siked_ray.errors import SikedError
from siked_ray.logs import redirect_output
from siked_ray.recipes import objectives_of, recipe_named
from siked_ray.report.changes import find_changes
from siked_ray.report.html.page import render
from siked_ray.report.metrics_lines import metrics_lines
from siked_ray.report.publishing import write_model_card
from siked_ray.report.summary import build_summary
from siked_ray.settings import STUDENT

#: How long a driver whose run has ended waits to be asked before it leaves by itself.
_LINGER_S = 120.0
#: Time for all who watch to ask once more.
_FAREWELL_S = 5.0
#: Time for engines to write what they have finished, and for training workers to take a checkpoint, of a run that is
#: told to stop: Slurm and the pods of cluster/ give it two minutes.
_FLUSH_S = 10.0
_CHECKPOINT_S = 60.0
_LOOK_INTERVAL_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a run ended; `error` is None when it was finished."""

    error: SikedError | None


class Driver:
    """Made a Ray actor by the session. `make_lab` replaces the lab on engines and training workers."""

    def __init__(
        self,
        config: Config,
        inputs: RunInputs,
        board: Board,
        log_dir: str,
        make_lab: "Callable[[Driver], Any] | None" = None,
    ) -> None:
        redirect_output(Path(log_dir) / "driver.log")
        self.config = config
        self.inputs = inputs
        self.board = board
        self.log_dir = log_dir
        self.storage = Storage(config.run_dir)
        self._ledger = Ledger(self.storage)
        self._make_lab = make_lab or _ray_lab
        self._committed_now: set[str] = set()
        self._lab: Any = None
        self._sign_of_life = SignOfLife(self.storage, board)
        self._ended: Ended | None = None
        self._asked = threading.Event()
        threading.Thread(target=self._live, name="run", daemon=True).start()

    def ended(self) -> Ended | None:
        """How the run ended; None while it goes on."""
        if self._ended is not None:
            self._asked.set()
        return self._ended

    def stop(self) -> None:
        """Keep what engines have finished and what was trained so far, and tell. The run ends soon after, whoever asked
        for it and whether or not they are still there: `ray job stop` waits for three seconds."""
        title = "stopping"
        self.board.begin(title, "", 0)
        threading.Timer(_FLUSH_S + _CHECKPOINT_S + _FAREWELL_S, _leave, [self.board]).start()
        kept = "what was durable before is kept"
        with suppress(Exception):
            kept = self._keep()
        if self._ended is None:
            self.board.end(title, kept)
            self._sign_of_life.state = "stopped"
            self._sign_of_life.write()
        threading.Timer(_FAREWELL_S, _leave, [self.board]).start()

    def on_commit(self, record: StageRecord) -> None:
        """Bring the summary up to date after a stage."""
        self._committed_now.add(record.stage)
        self._write_summary("running")

    def _live(self) -> None:
        """Run to the end, tell, and leave; a driver that nobody asks leaves after a while."""
        try:
            with self._sign_of_life:
                if _was_restarted():
                    self._note_restart()
                error = self._run()
                self._sign_of_life.state = "failed" if error else "finished"
                self._sign_of_life.note = str(error or "")
                release_nodes()
        except Exception as problem:  # whatever happens, whoever asks is told
            traceback.print_exc()
            error = as_siked_error(problem, self.log_dir)
        self._ended = Ended(error=error)
        self._asked.wait(_LINGER_S)
        time.sleep(_FAREWELL_S)
        _leave(self.board)

    def _run(self) -> SikedError | None:
        """Run, or continue, the whole loop; what was committed before is not run again."""
        try:
            self._write_summary("running")
            self._run_recipe()
            self._write_model_cards()
            self._write_summary("finished")
        except Exception as error:
            with suppress(OSError):  # the disk may be what failed
                traceback.print_exc()
                self._write_summary("failed")
            return as_siked_error(error, self.log_dir)
        return None

    def _run_recipe(self) -> None:
        self._ledger.complete()
        self._lab = self._make_lab(self)
        try:
            recipe_named(self.config.recipe).run(self._lab, self.config)
        finally:
            self._lab.close()

    def _keep(self) -> str:
        """Says what was kept."""
        deadline = time.monotonic() + _CHECKPOINT_S
        is_training = self.board.stop()
        if self._lab is not None:
            self._lab.flush(_FLUSH_S)
        if not is_training:
            return "finished rows are kept"
        while not self.board.is_kept():
            if time.monotonic() > deadline:
                return f"no checkpoint came within {_CHECKPOINT_S:.0f} s; the one before is kept"
            time.sleep(_LOOK_INTERVAL_S)
        return "a checkpoint is kept"

    def _write_model_cards(self) -> None:
        for record in of_kind(self._ledger.records(), Kind.EVALUATION):
            if record.id.iteration is not None and self.storage.exists(
                f"{names.student(record.id.iteration)}/config.json"
            ):
                write_model_card(self.storage, record.id.iteration)

    def _note_restart(self) -> None:
        title = "driver started again after a loss"
        self.board.interrupt()
        self.board.begin(title, "", 0)
        self.board.end(title, "continues from the ledger")

    def _write_summary(self, status: str) -> None:
        records = self._ledger.records()
        summary = build_summary(self.config, records, status, self._committed_now, self._contamination)
        self.storage.write_text(names.METRICS, metrics_lines(records))
        changes = find_changes(self.storage, summary)
        self.storage.write_text(names.REPORT, render(summary, dump_config(self.config), changes))
        self.storage.write_json(names.SUMMARY, summary)

    @cached_property
    def _contamination(self) -> Any:
        """What the run stored of its problems in test sets; None for runs of 0.1."""
        return self.storage.read_json(names.CONTAMINATION) if self.storage.exists(names.CONTAMINATION) else None


def _ray_lab(driver: Driver) -> RayLab:
    """The lab on vLLM engines and Ray Train."""
    config, inputs = driver.config, driver.inputs
    side_by_side = fit_side_by_side(config)
    has_sampled = Ledger(driver.storage).read(TEACHER) is not None
    asks_teacher = any(one.with_teacher or one.beside_teacher for one in objectives_of(config).values())
    always = {STUDENT, *config.models}
    needed = {key: name for key, name in inputs.models.items() if key in always or asks_teacher or not has_sampled}
    models = inputs.models | resolve_models(needed, config, board=driver.board, log_dir=driver.log_dir)
    generating = EnginePools(
        driver.board,
        specs={key: engine_spec(config, key, inputs.max_model_len[key]) for key in models},
        sizes={key: pool_size(config, key) for key in models},
        log_dir=driver.log_dir,
        keep_engines_while_training=side_by_side,
    )
    return RayLab(
        config,
        driver.storage,
        generating,
        driver.board,
        models=models,
        test_sets=inputs.test_sets,
        log_dir=driver.log_dir,
        max_model_len=inputs.max_model_len,
        placement=StagePlacement(config, driver.board, generating),
        on_commit=driver.on_commit,
    )


def _was_restarted() -> bool:
    import ray

    return ray.get_runtime_context().was_current_actor_reconstructed


def _leave(board: Board) -> None:
    """End the board and this actor for good; Ray would take a process that exits for one that was lost."""
    import ray

    for actor in (board.actor, ray.get_runtime_context().current_actor):
        ray.kill(actor, no_restart=True)
