"""What Ray Train calls while it starts training workers: one kills, one counts."""

import os
import signal
from pathlib import Path
from typing import Any

from ray.train.v2._internal.execution.callback import WorkerGroupCallback


class KillsOneThatIsSetUp(WorkerGroupCallback):
    """Once: after the group's process group is there, before Ray Train calls our function. `mark` says it is done."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def after_worker_group_start(self, worker_group: Any) -> None:
        if not self._mark.exists():
            self._mark.touch()
            os.kill(worker_group.execute_single(0, os.getpid), signal.SIGKILL)


class CountsStarts(WorkerGroupCallback):
    """A line in `log` for each group of workers that has started."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def after_worker_group_start(self, worker_group: Any) -> None:
        with self._log.open("a") as log:
            log.write("started\n")
