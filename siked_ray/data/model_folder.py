"""Model directories that lie on an object store, brought to this node once.

vLLM and transformers read models from folders. A student of a run on `s3://…` is downloaded into a cache of the node,
whole or not at all; the cache's key holds names, sizes and times of all files, so that a model that was written anew is
fetched anew.
"""

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from siked_ray.core.ids import content_hash
from siked_ray.data.storage import Storage
from siked_ray.errors import ModelError


def local_model(name: str) -> str:
    """A folder for an URI (`s3://…`, `gs://…`); anything else, such as a folder or a Hub name, as it is."""
    if "://" not in name:
        return name
    storage = Storage(name)
    files = storage.listing()
    if "config.json" not in {path for path, _, _ in files}:
        raise ModelError(f"{name} is no model directory, it has no config.json.")
    folder = _cache() / content_hash(storage.root, *files)
    if not folder.exists():
        beside = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
        try:
            storage.download(beside)
            with suppress(OSError):  # another process of this node was quicker
                beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return str(folder)


def _cache() -> Path:
    """SIKED_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = Path(os.environ.get("SIKED_CACHE", f"{base}/siked-ray")).expanduser() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
