"""Starting a process that imports torch, transformers, DeepSpeed or vLLM."""

import gc
import sys
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


def hide_torch() -> None:
    """This process never imports torch: with it transformers' tokenizers take four times as long to import.

    For processes that do nothing else, since it cannot be undone.
    """
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # how Python marks what is not to be imported
