"""What goes on between optimizer steps: checkpoints, candidates, loggers, warnings and the board.

A node that is about to be taken away (a spot instance's notice, `ray drain-node`) gets a checkpoint of its own, and
so does a run that is told to stop.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from siked_ray.core.reporting import TrainingReporter
from siked_ray.training.compute.loop import Due, Hooks, Progress
from siked_ray.training.compute.schedule import Schedule
from siked_ray.training.stage.checkpoint import Checkpoints
from siked_ray.training.stage.health import warning
from siked_ray.training.stage.job import Job
from siked_ray.training.stage.loggers import StepLogger, open_loggers
from siked_ray.training.stage.selection import Candidates

_BOARD_INTERVAL_S = 0.5
_LOOK_INTERVAL_S = 2.0
_ASK_INTERVAL_S = 1.0


def notice() -> Any:
    """What Ray Train knows of nodes that are about to be taken away; None if nothing. Asked by all workers at once."""
    import ray.train

    return ray.train.get_preemption_info()


class ToldToStop:
    """Whether the run is told to stop: the board is asked every second, and nobody waits for its answer."""

    def __init__(self, board: TrainingReporter) -> None:
        self._board = board
        self._answer: Future[bool] | None = None
        self._asked_at = time.monotonic()
        self._is_known = False

    def __call__(self) -> bool:
        """True once, when the answer comes that says so."""
        from ray.exceptions import RayError

        if self._is_known:
            return False
        if self._answer is not None and self._answer.done():
            with suppress(RayError):  # the board is on its way to another node
                self._is_known = self._answer.result()
            self._answer = None
        now = time.monotonic()
        if self._answer is None and now - self._asked_at >= _ASK_INTERVAL_S:
            self._answer, self._asked_at = self._board.is_to_stop(), now
        return self._is_known


class AroundSteps:
    """Checkpoints, candidates, loggers, warnings and the board, after every optimizer step."""

    def __init__(
        self,
        job: Job,
        schedule: Schedule,
        checkpoints: Checkpoints,
        candidates: Candidates,
        rank: int,
        notice: Callable[[], Any] = notice,
        told_to_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._job = job
        self._num_steps = len(schedule)
        self._checkpoints = checkpoints
        self._candidates = candidates
        self._first = rank == 0
        self._loggers: list[StepLogger] = []
        if self._first:
            self._loggers = open_loggers(job.loggers, job.as_logged())
        self._notice = notice
        self._noticed: Any = None
        self._told_to_stop = told_to_stop or ToldToStop(job.board)
        self._last_checkpoint = self._last_look = time.monotonic()
        self._last_board = 0.0

    def hooks(self) -> Hooks:
        return Hooks(after_step=self._after_step, what_is_due=self._what_is_due)

    def _what_is_due(self) -> Due:
        now = time.monotonic()
        if self._told_to_stop():
            return Due.LAST_CHECKPOINT
        if now - self._last_checkpoint >= self._job.checkpoint_interval_s:
            return Due.CHECKPOINT
        return Due.LOOK if now - self._last_look >= _LOOK_INTERVAL_S else Due.NOTHING

    def close(self) -> None:
        for logger in self._loggers:
            logger.close()

    def _is_noticed(self) -> bool:
        """Whether there is a notice that no checkpoint was taken for yet."""
        self._last_look = time.monotonic()
        before, self._noticed = self._noticed, self._notice()
        return self._noticed is not None and self._noticed != before

    def _after_step(self, progress: Progress, due: Due) -> None:
        figures = {"loss": progress.losses[-1], "tokens_per_s": progress.tokens / progress.seconds}
        every, last = self._job.plan.candidates_every, progress.steps == self._num_steps
        if every and progress.steps % every == 0 and not last:
            figures |= self._candidates.consider(progress.steps)
        if not last and (due >= Due.CHECKPOINT or (due is Due.LOOK and self._is_noticed())):
            self._checkpoints.report(progress, {"candidates": self._candidates.found})
            self._last_checkpoint = time.monotonic()
            if due is Due.LAST_CHECKPOINT and self._first:
                self._checkpoints.wait()
                self._job.board.kept()
        if self._first:
            self._show(progress, figures)

    def _show(self, progress: Progress, figures: dict[str, float]) -> None:
        if not self.warnings and (sentence := warning(progress.losses, self._num_steps)):
            self.warnings.append(sentence)
        for logger in self._loggers:
            logger.log(progress.steps, figures)
        now, last = time.monotonic(), progress.steps == self._num_steps
        if not last and now - self._last_board < _BOARD_INTERVAL_S:
            return
        self._last_board = now
        board, title, loss, speed = self._job.board, self._job.title, figures["loss"], figures["tokens_per_s"]
        board.training(title, progress.steps, self._num_steps, loss, speed)
        if self.warnings:
            shown = {"loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}", "warning": self.warnings[0]}
            board.advance(title, progress.steps, shown)
