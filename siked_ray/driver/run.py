"""The driver actor of a run."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from siked_ray.config import Config, dump_config
from siked_ray.core.problem import Problem, Split
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger, StageRecord
from siked_ray.data.schemas import table
from siked_ray.data.storage import Storage
from siked_ray.driver.bootstrap import resolve_models
from siked_ray.driver.branching import find_branch, take_over
from siked_ray.driver.generating import Generating
from siked_ray.driver.placement import cpus_wanted, engine_options, gpus_wanted, loop_rules, pool_size
from siked_ray.driver.preflight import Checked
from siked_ray.driver.stages import RayStages
from siked_ray.errors import SikedError, StageError
from siked_ray.logs import redirect_output
from siked_ray.loop import run_loop
from siked_ray.report.html import render
from siked_ray.report.metrics import metrics_lines
from siked_ray.report.summary import build_summary


class Driver:
    """Made a Ray actor by the session; `run` returns None, or the error that ended the run."""

    def __init__(self, config: Config, checked: Checked, board: Any, log_dir: str) -> None:
        redirect_output(Path(log_dir) / "driver.log")
        self._config = config
        self._checked = checked
        self._board = board
        self._log_dir = log_dir
        self._storage = Storage(config.run_dir)
        self._ledger = Ledger(self._storage)
        self._committed_now: set[str] = set()

    def run(self) -> SikedError | None:
        """Run, or continue, the whole loop. What was committed before is not run again."""
        try:
            self._write_inputs()
            self._write_summary("running")
            self._run_loop()
            self._write_summary("finished")
        except Exception as error:
            with suppress(OSError):  # the disk may be what failed
                traceback.print_exc()
                self._write_summary("failed")
            return _as_siked_error(error, self._log_dir)
        return None

    def _write_inputs(self) -> None:
        """Resolved settings and problems; first what is needed to continue, last the settings that claim the run."""
        checked = self._checked
        splits = {Split.TRAIN.value: checked.train, Split.VALIDATION.value: checked.validation, **checked.tests}
        if self._storage.exists(names.CONFIG):
            return
        for name, problems in splits.items():
            split = name if name in (Split.TRAIN, Split.VALIDATION) else Split.TEST.value
            rows = [_problem_row(problem, split) for problem in problems]
            self._storage.write_parquet(names.problems(name), table("problems", rows))
        branch = find_branch(self._config)
        if branch is not None:
            take_over(branch, self._storage, self._config)
        self._storage.write_parquet(names.EXCLUDED, table("excluded", checked.excluded))
        self._storage.write_text(names.CONFIG, dump_config(self._config))

    def _run_loop(self) -> None:
        config = self._config
        names_of_models = {role: facts.name for role, facts in self._checked.models.items()}
        models = resolve_models(names_of_models, config, board=self._board, log_dir=self._log_dir)
        generating = Generating(
            self._storage,
            self._board,
            options={role: engine_options(config, self._checked.max_model_len[role]) for role in models},
            size=pool_size(config),
            log_dir=self._log_dir,
            keep_engines_while_training=_fit_side_by_side(config),
        )
        stages = RayStages(
            config,
            self._storage,
            generating,
            self._board,
            teacher_model=models.get("teacher", ""),
            base_model=models["student"],
            test_sets=list(self._checked.tests),
            log_dir=self._log_dir,
            on_commit=self._on_commit,
        )
        try:
            run_loop(stages, loop_rules(config))
        finally:
            stages.close()

    def _on_commit(self, record: StageRecord) -> None:
        self._committed_now.add(record.stage)
        self._write_summary("running")

    def _write_summary(self, status: str) -> None:
        records = self._ledger.records()
        summary = build_summary(self._config, records, status, self._committed_now)
        self._storage.write_text(names.METRICS, metrics_lines(records))
        self._storage.write_text(names.REPORT, render(summary, dump_config(self._config)))
        self._storage.write_json(names.SUMMARY, summary)


def _problem_row(problem: Problem, split: str) -> dict[str, str]:
    return {
        "problem_id": problem.problem_id,
        "dataset": problem.dataset,
        "split": split,
        "question": problem.question,
        "answer": problem.answer,
    }


def _fit_side_by_side(config: Config) -> bool:
    import ray

    total = ray.cluster_resources()
    return cpus_wanted(config) <= total.get("CPU", 0) and gpus_wanted(config) <= total.get("GPU", 0)


def _as_siked_error(error: Exception, log_dir: str) -> SikedError:
    """The error raised on purpose behind what Ray wraps around it, else a sentence with what is known."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, SikedError):
            return cause
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return StageError("The disk is full; make room and run the same command again, nothing committed is lost.")
    lines = [line for line in str(causes[-1]).splitlines() if line.strip()]
    return StageError(
        f"The run stopped: {type(causes[-1]).__name__}: {lines[-1] if lines else ''} (details in {log_dir}). What was "
        "committed is kept; the same command continues from there."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, in Ray's way and in Python's."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = getattr(current, "cause", None) or current.__cause__
