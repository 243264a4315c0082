"""What a run is doing, written into its directory every few seconds: `siked status` needs nothing else."""

import threading
from contextlib import suppress

from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver.board import as_sign_of_life
from siked_ray.driver.board_client import Board
from siked_ray.driver.lock import this_process

#: One small file each time: on an object store 17,000 requests a day, less than a tenth of a dollar.
_INTERVAL_S = 5.0


class SignOfLife:
    """Context manager: a thread that writes `progress.json` while the body runs, and once more at its end."""

    def __init__(self, storage: Storage, board: Board) -> None:
        self.state = "running"
        self.note = ""
        self._storage = storage
        self._board = board
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sign-of-life", daemon=True)

    def __enter__(self) -> "SignOfLife":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        self.write()
        while not self._stopped.wait(_INTERVAL_S):
            self.write()
        self.write()

    def write(self) -> None:
        """A sign that cannot be given is no reason to end a run: the board may be moving, the store be busy."""
        import ray

        with suppress(ray.exceptions.RayError, OSError):
            stages = self._board.snapshot(timeout_s=_INTERVAL_S)
            sign = as_sign_of_life(stages, state=self.state, note=self.note)
            self._storage.write_json(names.PROGRESS, sign | {"process": this_process()})
