"""Progress bars on stderr: in bytes of a JSON lines file, whose number of rows is not known, or in rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def byte_progress(total_bytes: int | None, title: str) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how many more bytes are done; None: their total is not known.

    Draws nothing where stderr is no terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total_bytes)
        yield lambda num_bytes: progress.advance(task, num_bytes)


@contextmanager
def row_progress(total_rows: int, title: str) -> Iterator[Callable[[int], None]]:
    """Like `byte_progress`, for rows that were counted."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total_rows)
        yield lambda num_rows: progress.advance(task, num_rows)
