"""Arms of an experiment as `siked run`s, some at a time: a finished one is left alone, and one waits for those that it
starts from."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol, TypeVar

PROJECT = Path(__file__).parents[2]


class Arm(Protocol):
    """One run of an experiment, and the names of those that have to be finished before."""

    @property
    def name(self) -> str: ...

    def needs(self) -> list[str]: ...


T = TypeVar("T", bound=Arm)


class Runs:
    """Runs below `root`, of the settings in `base` with `overrides`."""

    def __init__(self, root: Path, base: Path, overrides: Sequence[str], num_parallel: int) -> None:
        self._root, self._base, self._overrides, self._num_parallel = root, base, list(overrides), num_parallel

    def in_parallel(self, arms: Iterable[T], settings: Callable[[T], list[str]]) -> list[str]:
        """Finish the arms; returns the names of those that failed or could not be run."""
        waiting, failed = list(arms), list[str]()
        running: dict[Future[bool], T] = {}
        with ThreadPoolExecutor(self._num_parallel) as executor:
            while waiting or running:
                ready = [arm for arm in waiting if all(is_finished(self._root / name) for name in arm.needs())]
                for arm in ready[: self._num_parallel - len(running)]:
                    waiting.remove(arm)
                    running[executor.submit(lambda arm: self.finish(arm.name, settings(arm)), arm)] = arm
                if not running:
                    return failed + [arm.name for arm in waiting]
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                failed += [running[future].name for future in done if not future.result()]
                for future in done:
                    running.pop(future)
        return failed

    def finish(self, name: str, settings: Sequence[str]) -> bool:
        """Run what is missing of a run; False where it failed."""
        if is_finished(self._root / name):
            return True
        self._root.mkdir(parents=True, exist_ok=True)
        print(f"{time.strftime('%H:%M:%S')} {name} starts", flush=True)
        started = time.monotonic()
        command = [sys.executable, "-m", "siked_ray", "run", str(self._base), *self._overrides, *settings]
        with open(self._root / f"{name}.log", "a", encoding="utf-8") as log:
            code = subprocess.run(command, stdout=log, stderr=log, cwd=PROJECT, check=False).returncode
        words = "is finished" if code == 0 else f"failed ({self._root / name}.log)"
        print(f"{time.strftime('%H:%M:%S')} {name} {words} after {time.monotonic() - started:.0f} s", flush=True)
        return code == 0


def is_finished(run: Path) -> bool:
    """Whether a run has come to its end."""
    summary = run / "summary.json"
    return summary.exists() and json.loads(summary.read_text())["status"] == "finished"
