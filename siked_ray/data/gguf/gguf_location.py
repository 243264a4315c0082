"""Which file a name of a GGUF model means: a path, or `OWNER/NAME:FILE.gguf` on the Hub."""

import re
from pathlib import Path

from siked_ray.errors import ModelError

_ON_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+):(?P<file>[^:]+\.gguf)", re.IGNORECASE)


def is_gguf(name: str) -> bool:
    """True for names of GGUF files."""
    return name.lower().endswith(".gguf")


def repository_of(name: str) -> str | None:
    """The Hub's repository in `OWNER/NAME:FILE.gguf`; None for other names, and where the name is a file here."""
    match = None if Path(name).expanduser().exists() else _ON_HUB.fullmatch(name)
    return match["repository"] if match else None


def gguf_file(name: str) -> Path:
    """The file on this machine, fetched from the Hub once. Raises ModelError where there is none."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    match = _ON_HUB.fullmatch(name)
    if match is None or path.exists():
        raise ModelError(
            f"there is no file {name}; give the path of a .gguf file, or OWNER/NAME:FILE.gguf for one on the Hub."
        )
    return _fetched(match["repository"], match["file"])


def _fetched(repository: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file))
    except Exception as error:  # the network and the Hub's client fail with a dozen kinds of errors
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{repository}:{file} cannot be fetched from the Hub (is the network there, is the name right?): {reason}"
        ) from error
