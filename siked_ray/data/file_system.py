"""Where a run's files lie, by path or URI, and what it takes that a file appears whole or not at all."""

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from siked_ray.core.credentials import redacted
from siked_ray.errors import DataError


def put_in_place(written: str, path: str) -> None:
    """Rename a local file that is whole; what it holds is on the disk before its name is."""
    settle(Path(written))
    os.replace(written, path)
    settle(Path(path).parent)


def settle(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: str, target: str) -> None:
    """A local file under a second name, which it replaces: a hard link where there can be one."""
    beside = f"{target.rpartition('/')[0]}/.{uuid.uuid4().hex}"
    try:
        os.link(source, beside)
    except OSError:
        shutil.copy2(source, beside)
    os.replace(beside, target)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a local folder, which appears whole, replacing one of that name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    shutil.copytree(source, beside)
    for copied in beside.rglob("*"):
        settle(copied)
    if target.exists():
        shutil.rmtree(target)
    beside.rename(target)
    settle(target.parent)


def damaged(what: str, error: Exception) -> DataError:
    """The error for a file of a run that does not hold what was written."""
    reason = redacted(" ".join(str(error).split()))[:300]
    return DataError(
        f"{what} is damaged ({reason}). Restore it from a copy; or remove it, with the record in ledger/ of the stage "
        "that wrote it, and the same `siked run` makes it again."
    )


def open_root(root: str) -> tuple[Any, str]:
    """File system and the root's path on it; credentials and endpoints come from the environment."""
    from pyarrow.fs import FileSystem

    # Small files go to S3 in one request instead of three.
    query = "?allow_delayed_open=true" if root.startswith("s3://") else ""
    try:
        filesystem, path = FileSystem.from_uri(root.rstrip("/") + query if query else root)
    except (OSError, ValueError) as error:
        raise DataError(f"{root} cannot be opened: {redacted(' '.join(str(error).split()))[:300]}") from None
    return filesystem, path.rstrip("/")


def is_remote(root: str) -> bool:
    return "://" in root and not root.startswith("file://")
