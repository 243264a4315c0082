"""Where engines and workers write what they have to say: files of the run, not the screen."""

import os
from pathlib import Path


def redirect_output(log_path: Path) -> None:
    """Send this process's stdout and stderr, those of C++ libraries too, to a file."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
