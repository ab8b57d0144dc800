"""Processes that work for another one."""

import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# How long a process may outlive the one that it works for, in seconds.
POLL = 0.5


@functools.cache
def end_with(parent: int) -> None:
    """End this process, at once and quietly, soon after `parent`, its parent, has ended, however that ended.

    The system gives a process whose parent is gone another one, on Linux and macOS alike. For workers that would
    otherwise wait, with the terminal or a pipe held open, for work that nobody will send.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, name="end_with", daemon=True).start()


def for_parent(parent: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """`function` of the arguments, in a process that does not outlive `parent`, which gave it to do."""
    end_with(parent)
    return function(*arguments)


def in_order(
    submit: Callable[[Item], "Future[Result]"], work: Iterable[Item], most: int
) -> Iterator[tuple[Item, Result]]:
    """Each item of `work` and the result of its future, in order; at most `most` are on their way meanwhile."""
    pending: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in work:
            pending.append((item, submit(item)))
            if len(pending) > most:
                oldest, future = pending.popleft()
                yield oldest, future.result()
        while pending:
            oldest, future = pending.popleft()
            yield oldest, future.result()
    finally:
        for _, future in pending:
            future.cancel()
