"""The run directory before a run: whose is it, how far is it, can it be written?"""

import os
from pathlib import Path

from siked_ray.config import Config, differing_keys, read_resolved
from siked_ray.data import run_directory as names
from siked_ray.data.ledger import Ledger
from siked_ray.data.storage import Storage
from siked_ray.errors import ConfigError
from siked_ray.preflight.branch import find_branch, is_left_by_take_over


def check_run_directory(config: Config, storage: Storage) -> str:
    """ "new", "started" or "finished"; raises ConfigError when the directory belongs to a run with other settings."""
    if not storage.exists(names.CONFIG):
        _check_ledger_is_own(config, storage)
        return "new"
    differences = differing_keys(read_resolved(storage.read_text(names.CONFIG), storage.path(names.CONFIG)), config)
    if differences:
        raise ConfigError(
            f"{storage.root} holds a run with other settings ({'; '.join(differences[:8])}). "
            "Set run_dir to another directory, or go back to its settings."
        )
    finished = storage.exists(names.SUMMARY) and storage.read_json(names.SUMMARY)["status"] == "finished"
    return "finished" if finished else "started"


def _check_ledger_is_own(config: Config, storage: Storage) -> None:
    """Without settings nobody knows what stages are a result of, but for those that a branch was about to take over."""
    records = Ledger(storage).records()
    branch = find_branch(config) if records else None
    if records and (branch is None or not is_left_by_take_over(branch, records)):
        raise ConfigError(
            f"{storage.root} has finished stages, the last one being {records[-1].stage}, but no {names.CONFIG} that "
            f"says what they are a result of. Put its {names.CONFIG} back, or set run_dir to another directory."
        )


def check_writable(storage: Storage) -> None:
    """Raises ConfigError where a local run directory cannot be made or written. Leaves nothing behind."""
    if not storage.is_local:
        return
    root = Path(storage.root)
    there = next(path for path in (root, *root.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise ConfigError(f"run_dir {root} cannot be a directory, because {there} is none; set run_dir to another one.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"run_dir {root} cannot be written, because this user may not write to {there}; set run_dir to a directory "
            "of your own, or change the permissions."
        )
