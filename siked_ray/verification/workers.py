"""Judging in several processes: items in, results out in their order, a bounded number of them under way."""

import atexit
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import TypeVar

from siked_ray.core.strategy import Strategy
from siked_ray.verification.verifier import Verifier

_AHEAD = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], num_workers: int
) -> Iterator[tuple[Item, "Future[Result]"]]:
    """Each item with its result to come, in order. A process that dies shows as BrokenProcessPool in the results."""
    pool = ProcessPoolExecutor(num_workers, get_context("spawn"))
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) >= num_workers * _AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def verifier_of_this_process(strategies: tuple[Strategy, ...]) -> Verifier:
    """One verifier, with its worker processes, for all items that a process judges one after the other."""
    verifier = Verifier(strategies, num_workers=1)
    atexit.register(verifier.close)
    return verifier
