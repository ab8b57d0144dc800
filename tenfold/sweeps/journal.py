"""A sweep's memory: one JSON line for each thing that happened, appended and synced before anything follows from it.

Whatever kills the driver, the file ends in whole lines, or in one torn line that was never acted upon and is cut
off when the sweep goes on. The state of a sweep is what its lines say when they are read from the first.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tenfold.core.checksums import hash_of
from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import explained_write, remove_leftovers, sync

VERSION = 1
FILE = "sweep.jsonl"
LINK = "blake2b"  # the entry of a line that holds the hash of it and of all before it
Event = dict[str, Any]


class Journal:
    """The journal of the sweep in `folder`; `events` are its lines so far, the plan first."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self.events: list[Event] = []
        # The hash of all lines so far; None in a journal of version 0.1, which has none.
        self.link: str | None = None
        self.read()

    def read(self) -> None:
        """Read the lines again."""
        self.events, self.link = _read(self.path) if self.path.is_file() else ([], None)

    def append(self, event: Event) -> None:
        """Write one line and sync it. Raises TenfoldError where the disk is full."""
        new = not self.path.exists()
        event = json.loads(json.dumps(event, allow_nan=False))
        if new or not self.events or self.link is not None:
            self.link = _linked(self.link, event)
            event = {**event, LINK: self.link}
        line = json.dumps(event, allow_nan=False) + "\n"
        with explained_write(self.path), self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync(self.folder)
        self.events.append(_unlinked(json.loads(line)))

    def mend(self) -> None:
        """Cut off a line that a kill left torn."""
        if self.path.is_file():
            whole = _whole_lines(self.path.read_bytes())
            if len(whole) < self.path.stat().st_size:
                os.truncate(self.path, len(whole))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the sweep for driving it; the system lets go of it when the process ends, however it ends.

        Raises TenfoldError where another process drives it.
        """
        with explained_write(self.folder):
            try:
                lock = FileLock(self.folder / "lock", timeout=0).acquire()
            except Timeout:
                raise TenfoldError(
                    f"{self.folder}: another process is driving this sweep. Wait for it, or end it first."
                ) from None
        with lock:
            for folder in (self.folder, self.folder / "figures"):
                remove_leftovers(folder)
            self.mend()
            self.read()
            yield


def read_events(path: Path) -> list[Event]:
    """The whole lines of a journal. Raises InputError where it is damaged or of another version."""
    return _read(path)[0]


def damage(path: Path, number: int, reason: object) -> InputError:
    """The error that says which line of a journal is damaged, and what helps."""
    return InputError(
        f"{path}: line {number} is damaged ({reason}). Restore the file, or begin a sweep of another --name."
    )


def _read(path: Path) -> tuple[list[Event], str | None]:
    """The events, and the last line's link."""
    events: list[Event] = []
    link = None
    for number, line in enumerate(_whole_lines(path.read_bytes()).splitlines(), start=1):
        try:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError("it is no JSON object")
            if number == 1:
                _check_version(path, event)
            if link is not None or (number == 1 and LINK in event):
                link = _linked(link, _unlinked(event))
                if event.get(LINK) != link:
                    raise ValueError("it has changed since it was written, or a line before it is missing")
        except (ValueError, RecursionError) as error:
            raise damage(path, number, error) from None
        events.append(_unlinked(event))
    return events, link


def _check_version(path: Path, first: Event) -> None:
    if first.get("version") != VERSION:
        raise InputError(
            f"{path}: was written in version {first.get('version', 'none')} of the journal, this tenfold reads "
            f"version {VERSION}. Begin a sweep of another --name; the trials of this one stay ordinary runs."
        )


def _linked(before: str | None, event: Event) -> str:
    """A hash of an event and of all before it."""
    return hash_of(f"{before} {json.dumps(event, sort_keys=True)}".encode())


def _unlinked(event: Event) -> Event:
    return {key: value for key, value in event.items() if key != LINK}


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
