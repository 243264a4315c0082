"""Two drivers on one directory would delete each other's rows: the second one is told so."""

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.driver import lock as occupied
from siked_ray.driver.lock import check_not_occupied, this_process
from siked_ray.errors import UserError

ELSEWHERE = {"host": "another-machine", "pid": 1, "started_at": 0.0}


@pytest.fixture
def storage(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(occupied, "_SETTLED_S", 0.4)
    monkeypatch.setattr(occupied, "_LOOK_INTERVAL_S", 0.05)
    return Storage(str(tmp_path))


def give_sign(storage: Storage, process: dict[str, Any] | None, state: str = "running", at: float = 0.0) -> None:
    storage.write_json(names.PROGRESS, {"updated_at": at, "state": state, "process": process, "stages": []})


def test_a_directory_without_a_sign_of_life_is_free(storage: Storage):
    check_not_occupied(storage)
    storage.write_text(names.PROGRESS, "{")
    check_not_occupied(storage)


def test_a_driver_that_lives_on_this_machine_is_named(storage: Storage):
    give_sign(storage, this_process())
    with pytest.raises(UserError, match=rf"process {this_process()['pid']} on .* set another run_dir"):
        check_not_occupied(storage)


@pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
def test_a_driver_that_has_ended_is_none(storage: Storage, state: str):
    give_sign(storage, this_process(), state)
    check_not_occupied(storage)


def test_a_process_that_was_killed_here_is_not_waited_for(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(occupied, "_SETTLED_S", 60.0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        gone = this_process() | {"pid": process.pid}
        give_sign(storage, gone)
        process.kill()
    started = time.monotonic()
    check_not_occupied(storage)
    give_sign(storage, this_process() | {"started_at": 1.0})  # its number belongs to another process by now
    check_not_occupied(storage)
    assert time.monotonic() - started < 10


def test_elsewhere_a_sign_that_changes_is_a_living_driver(storage: Storage):
    give_sign(storage, ELSEWHERE)
    check_not_occupied(storage)
    beating = threading.Event()

    def beat() -> None:
        while not beating.wait(0.05):
            give_sign(storage, ELSEWHERE, at=time.time())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(UserError, match="process 1 on another-machine"):
            check_not_occupied(storage)
    finally:
        beating.set()
        thread.join()
