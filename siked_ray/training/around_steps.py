"""What goes on between optimizer steps: checkpoints, candidates, loggers, warnings and the board."""

import time
from pathlib import Path

from siked_ray.training.checkpoint import Checkpoints
from siked_ray.training.health import warning
from siked_ray.training.job import Job
from siked_ray.training.loggers import StepLogger, open_loggers
from siked_ray.training.plan import Schedule
from siked_ray.training.selection import Candidates
from siked_ray.training.steps import Hooks, Progress

_BOARD_INTERVAL_S = 0.5


class AroundSteps:
    """Checkpoints, candidates, loggers, warnings and the board, after every optimizer step."""

    def __init__(
        self, job: Job, schedule: Schedule, checkpoints: Checkpoints, candidates: Candidates, rank: int
    ) -> None:
        self.warnings: list[str] = []
        self._job = job
        self._num_steps = len(schedule)
        self._checkpoints = checkpoints
        self._candidates = candidates
        self._first = rank == 0
        self._loggers: list[StepLogger] = []
        if self._first:
            prefix = Path(job.log_prefix)
            self._loggers = open_loggers(job.loggers, prefix.parent / "tensorboard", prefix.name)
        self._last_checkpoint = time.monotonic()
        self._last_board = 0.0

    def hooks(self) -> Hooks:
        return Hooks(after_step=self._after_step, is_due=self._is_due)

    def _is_due(self) -> bool:
        return time.monotonic() - self._last_checkpoint >= self._job.checkpoint_interval_s

    def close(self) -> None:
        for logger in self._loggers:
            logger.close()

    def _after_step(self, progress: Progress, due: bool) -> None:
        figures = {"loss": progress.losses[-1], "tokens_per_s": progress.tokens / progress.seconds}
        every, last = self._job.plan.candidates_every, progress.steps == self._num_steps
        if every and progress.steps % every == 0 and not last:
            figures |= self._candidates.consider(progress.steps)
        if due and not last:
            self._checkpoints.report(progress, {"candidates": self._candidates.found})
            self._last_checkpoint = time.monotonic()
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
        board.training.remote(title, progress.steps, self._num_steps, loss, speed)
        if self.warnings:
            shown = {"loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}", "warning": self.warnings[0]}
            board.advance.remote(title, progress.steps, shown)
