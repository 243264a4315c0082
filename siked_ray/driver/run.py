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
from pathlib import Path
from typing import Any

from siked_ray.config import Config, dump_config
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.storage import Storage
from siked_ray.driver.bootstrap import resolve_models
from siked_ray.driver.demand import STUDENT
from siked_ray.driver.failures import as_siked_error
from siked_ray.driver.generating import Generating
from siked_ray.driver.inputs import RunInputs
from siked_ray.driver.placement import engine_spec, fit_side_by_side, loop_rules, pool_size
from siked_ray.driver.publishing import write_model_card
from siked_ray.driver.sign_of_life import SignOfLife
from siked_ray.driver.stages import RayStages
from siked_ray.driver.waiting import StagePlacement, release_nodes
from siked_ray.errors import SikedError
from siked_ray.logs import redirect_output
from siked_ray.loop import run_loop
from siked_ray.report.changes import find_changes
from siked_ray.report.html import render
from siked_ray.report.metrics import metrics_lines
from siked_ray.report.summary import build_summary

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
    """Made a Ray actor by the session. `make_stages` replaces the stages on engines and training workers."""

    def __init__(
        self,
        config: Config,
        inputs: RunInputs,
        board: Any,
        log_dir: str,
        make_stages: "Callable[[Driver], Any] | None" = None,
    ) -> None:
        redirect_output(Path(log_dir) / "driver.log")
        self.config = config
        self.inputs = inputs
        self.board = board
        self.log_dir = log_dir
        self.storage = Storage(config.run_dir)
        self._ledger = Ledger(self.storage)
        self._make_stages = make_stages or _ray_stages
        self._committed_now: set[str] = set()
        self._stages: Any = None
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
        self.board.begin.remote(title, "", 0)
        threading.Timer(_FLUSH_S + _CHECKPOINT_S + _FAREWELL_S, _leave, [self.board]).start()
        kept = "what was durable before is kept"
        with suppress(Exception):
            kept = self._keep()
        if self._ended is None:
            self.board.end.remote(title, kept)
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
            self._run_loop()
            self._write_model_cards()
            self._write_summary("finished")
        except Exception as error:
            with suppress(OSError):  # the disk may be what failed
                traceback.print_exc()
                self._write_summary("failed")
            return as_siked_error(error, self.log_dir)
        return None

    def _run_loop(self) -> None:
        self._stages = self._make_stages(self)
        try:
            run_loop(self._stages, loop_rules(self.config))
        finally:
            self._stages.close()

    def _keep(self) -> str:
        """Says what was kept."""
        import ray

        deadline = time.monotonic() + _CHECKPOINT_S
        is_training = ray.get(self.board.stop.remote())
        if self._stages is not None:
            self._stages.flush(_FLUSH_S)
        if not is_training:
            return "finished rows are kept"
        while not ray.get(self.board.is_kept.remote()):
            if time.monotonic() > deadline:
                return f"no checkpoint came within {_CHECKPOINT_S:.0f} s; the one before is kept"
            time.sleep(_LOOK_INTERVAL_S)
        return "a checkpoint is kept"

    def _write_model_cards(self) -> None:
        for record in self._ledger.records():
            if record.stage.startswith("evaluation_"):
                write_model_card(self.storage, int(record.stage.rpartition("_")[2]))

    def _note_restart(self) -> None:
        title = "driver started again after a loss"
        self.board.interrupt.remote()
        self.board.begin.remote(title, "", 0)
        self.board.end.remote(title, "continues from the ledger")

    def _write_summary(self, status: str) -> None:
        records = self._ledger.records()
        summary = build_summary(self.config, records, status, self._committed_now)
        self.storage.write_text(names.METRICS, metrics_lines(records))
        changes = find_changes(self.storage, summary)
        self.storage.write_text(names.REPORT, render(summary, dump_config(self.config), changes))
        self.storage.write_json(names.SUMMARY, summary)


def _ray_stages(driver: Driver) -> RayStages:
    """The stages on vLLM engines and Ray Train."""
    config, inputs = driver.config, driver.inputs
    side_by_side = fit_side_by_side(config)
    has_sampled = Ledger(driver.storage).read("rollouts_teacher") is not None
    needed = {key: name for key, name in inputs.models.items() if key == STUDENT or not has_sampled}
    models = inputs.models | resolve_models(needed, config, board=driver.board, log_dir=driver.log_dir)
    generating = Generating(
        driver.board,
        specs={key: engine_spec(config, key, inputs.max_model_len[key]) for key in models},
        sizes={key: pool_size(config, key) for key in models},
        log_dir=driver.log_dir,
        keep_engines_while_training=side_by_side,
    )
    return RayStages(
        config,
        driver.storage,
        generating,
        driver.board,
        teacher_models=models,
        base_model=models[STUDENT],
        test_sets=list(inputs.test_sets),
        log_dir=driver.log_dir,
        on_begin=StagePlacement(config, driver.board, generating).before,
        on_commit=driver.on_commit,
    )


def _was_restarted() -> bool:
    import ray

    return ray.get_runtime_context().was_current_actor_reconstructed


def _leave(board: Any) -> None:
    """End the board and this actor for good; Ray would take a process that exits for one that was lost."""
    import ray

    for actor in (board, ray.get_runtime_context().current_actor):
        ray.kill(actor, no_restart=True)
