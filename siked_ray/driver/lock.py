"""Whether another driver is at work on a run directory: two would delete each other's rows.

Within one cluster the driver's name decides. Two Rays on one machine, or two machines on one file system, know of each
other only by the sign of life in the directory.
"""

import os
import socket
import time
from contextlib import suppress
from typing import Any

import psutil

from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage
from siked_ray.errors import DataError, UserError

#: More than two intervals of signs of life, and time for the rest of a killed session to go.
_SETTLED_S = 12.0
_LOOK_INTERVAL_S = 0.5


def this_process() -> dict[str, Any]:
    """What tells this process from all others, on this machine and elsewhere."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started_at": psutil.Process().create_time()}


def check_not_occupied(storage: Storage) -> None:
    """Raises UserError while another driver lives that works on this directory.

    Returns at once where its process was on this machine and is gone; after one that was lost elsewhere, once its
    sign of life has not changed for a while.
    """
    first = sign = _sign(storage)
    deadline = time.monotonic() + _SETTLED_S
    while sign and sign["state"] == "running" and _is_alive(sign.get("process")) is not False:
        if time.monotonic() > deadline:
            if _is_alive(sign.get("process")) or sign["updated_at"] != first["updated_at"]:
                raise UserError(_sentence(storage, sign))
            return
        time.sleep(_LOOK_INTERVAL_S)
        sign = _sign(storage)


def _sign(storage: Storage) -> dict[str, Any]:
    """The last sign of life; empty without a readable one."""
    sign: dict[str, Any] = {}
    with suppress(DataError, ValueError):
        sign = storage.read_json(names.PROGRESS) if storage.exists(names.PROGRESS) else {}
    return sign


def _is_alive(process: dict[str, Any] | None) -> bool | None:
    """None where this machine cannot know."""
    if process is None or process["host"] != socket.gethostname():
        return None
    try:
        return abs(psutil.Process(process["pid"]).create_time() - process["started_at"]) < 1.0
    except psutil.NoSuchProcess:
        return False


def _sentence(storage: Storage, sign: dict[str, Any]) -> str:
    process = sign.get("process") or {"pid": "?", "host": "another machine"}
    return (
        f"{storage.root} is being worked on by another driver (process {process['pid']} on {process['host']}). "
        f"Follow it with `siked status {storage.root}`, stop it, or set another run_dir."
    )
