"""Signals that ask the process to end: SIGINT (Ctrl-C), SIGTERM, and SIGHUP when the terminal goes away."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

# Windows knows no SIGHUP.
_FROM_OUTSIDE = (signal.SIGTERM,) if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)
ENDING = (signal.SIGINT, *_FROM_OUTSIDE)


class Stopped(SystemExit):
    """SIGTERM or SIGHUP has asked the process to end; the exit status is what shells give: 128 and its `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def die(self) -> None:
        """End the process as the signal would have, for whoever waits for it."""
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)


@contextmanager
def raised() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP raise `Stopped`, as Ctrl-C raises KeyboardInterrupt.

    So what is being written is removed, workers are ended, and it can be said how to go on. A signal that is ignored
    stays so (`nohup`).
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    before = _handle(_FROM_OUTSIDE, stop)
    try:
        yield
    finally:
        _restore(before)


class Held:
    """Holds such signals back while a block runs, for work that must not be cut through anywhere.

    `came` says whether one is waiting; it is delivered by `release`, at the end of the block, or at once when a
    second one comes. Only the main thread can do that; elsewhere nothing is held.
    """

    def __init__(self) -> None:
        self._came: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def came(self) -> bool:
        """Whether a signal is waiting."""
        return self._came is not None

    def __enter__(self) -> Self:
        self._before = _handle(ENDING, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Let signals do what they did before, with the one that waits."""
        _restore(self._before)
        number, self._came, self._before = self._came, None, {}
        if number is not None:
            signal.raise_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self._came = self.came, number
        if again:
            self.release()


def _handle(numbers: tuple[signal.Signals, ...], handler: Any) -> dict[signal.Signals, Any]:
    """Have `handler` called for those signals that are not ignored; what was called before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    kept = {number: signal.getsignal(number) for number in numbers}
    before = {number: old for number, old in kept.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    return before


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
