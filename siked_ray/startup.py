"""Starting a process that imports torch, transformers, DeepSpeed or vLLM."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collector_paused() -> Iterator[None]:
    """Python's garbage collector stands still while the body imports what stays for good.

    It would look through all of it again and again, which is a quarter of such an import's time (docs/log.md).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
