"""Choosing among the weights of several steps of a training stage by what they solve of the held-out problems."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from siked_ray.data.storage import Storage


def choose_by_accuracy(
    storage: Storage, candidates: Sequence[dict[str, Any]], output: str, accuracy: Callable[[str, int], float]
) -> list[dict[str, Any]]:
    """Make the most accurate candidate the stage's output, the earliest of equals.

    Candidates are {step, model}, a directory in the storage; `accuracy(directory, step)` generates and counts. Returns
    {step, held_out_accuracy} of each. The directories stay until the stage is committed: its checkpoints name them.
    """
    judged = [(accuracy(storage.path(one["model"]), one["step"]), one) for one in candidates]
    _, best = max(judged, key=lambda pair: (pair[0], -pair[1]["step"]))
    _copy(storage, best["model"], output)
    return [{"step": one["step"], "held_out_accuracy": share} for share, one in judged]


def _copy(storage: Storage, source: str, target: str) -> None:
    from pyarrow.fs import copy_files

    if storage.is_local:
        storage.upload_folder(Path(storage.path(source)), target)
    else:
        copy_files(storage.path(source), storage.path(target))
