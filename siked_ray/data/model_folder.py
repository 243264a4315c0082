"""Models that are not yet folders of this node: on an object store, or in a GGUF file. Brought here once.

vLLM and transformers read models from folders. What they cannot read is made a folder in a cache of the node, whole or
not at all. The key of a student of a run on `s3://…` holds names, sizes and times of all files, that of a GGUF file its
content, so that a model that was written anew is fetched anew.
"""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from siked_ray.core.ids import content_hash
from siked_ray.data.gguf.gguf_location import gguf_file, is_gguf
from siked_ray.data.storage import Storage
from siked_ray.errors import ModelError

#: Changes with what is made of a GGUF file.
_GGUF_FORM = 1


def local_model(name: str) -> str:
    """A folder for an URI (`s3://…`, `gs://…`) or a GGUF file; anything else, a folder or a Hub name, as it is."""
    if "://" in name:
        return _fetched(name)
    if not is_gguf(name) or Path(name).expanduser().is_dir():
        return name
    from siked_ray.data.gguf.gguf_reading import write_model

    file = gguf_file(name)
    return str(_made_once(_key(file), lambda folder: write_model(file, folder)))


def described_model(name: str) -> str:
    """As `local_model`, for who needs configuration and tokenizer alone: no weights are read of a GGUF file."""
    if "://" in name or not is_gguf(name) or Path(name).expanduser().is_dir():
        return local_model(name)
    return str(_described(gguf_file(name)))


def _fetched(name: str) -> str:
    storage = Storage(name)
    files = storage.listing()
    if "config.json" not in {path for path, _, _ in files}:
        raise ModelError(f"{name} is no model directory, it has no config.json.")
    return str(_made_once(content_hash(storage.root, *files), storage.download))


def _described(file: Path) -> Path:
    from siked_ray.data.gguf.gguf_reading import write_description

    return _made_once(f"{_key(file)}-description", lambda folder: write_description(file, folder))


def _made_once(key: str, make: Callable[[Path], None]) -> Path:
    """The cache's folder of this key; the first who asks makes it, those who ask meanwhile wait."""
    folder = _cache() / key
    if folder.exists():
        return folder
    with _alone(folder):
        if not folder.exists():
            beside = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
            try:
                make(beside)
                with suppress(OSError):  # another process was quicker after all
                    beside.rename(folder)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process of this node is here for the same folder."""
    lock = folder.with_name(f".{folder.name}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _key(file: Path) -> str:
    """Of what is made of a file: a hash of its content, which is read once for each place, size and time."""
    state = file.stat()
    known = _cache() / f".sha256-{content_hash(file.resolve(), state.st_size, state.st_mtime_ns)}"
    if not known.exists():
        beside = known.with_name(f"{known.name}-{uuid.uuid4().hex}")
        with file.open("rb") as content:
            beside.write_text(hashlib.file_digest(content, "sha256").hexdigest(), encoding="utf-8")
        beside.rename(known)
    return content_hash("gguf", _GGUF_FORM, known.read_text(encoding="utf-8"))


def _cache() -> Path:
    """SIKED_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = Path(os.environ.get("SIKED_CACHE", f"{base}/siked-ray")).expanduser() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
