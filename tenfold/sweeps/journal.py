"""A sweep's memory: one JSON line for each thing that happened, appended and synced before anything follows from it.

Whatever kills the driver, the file ends in whole lines, or in one torn line that was never acted upon and is cut
off when the sweep goes on. The state of a sweep is what its lines say when they are read from the first.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import explained_write, remove_leftovers, sync

VERSION = 1
FILE = "sweep.jsonl"
Event = dict[str, Any]


class Journal:
    """The journal of the sweep in `folder`; `events` are its lines so far, the plan first."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self.events: list[Event] = []
        self.read()

    def read(self) -> None:
        """Read the lines again."""
        self.events = read_events(self.path) if self.path.is_file() else []

    def append(self, event: Event) -> None:
        """Write one line and sync it. Raises TenfoldError where the disk is full."""
        new = not self.path.exists()
        line = json.dumps(event, allow_nan=False) + "\n"
        with explained_write(self.path), self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync(self.folder)
        self.events.append(json.loads(line))

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
            handle = (self.folder / "lock").open("w")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TenfoldError(
                    f"{self.folder}: another process is driving this sweep. Wait for it, or end it first."
                ) from None
            for folder in (self.folder, self.folder / "figures"):
                remove_leftovers(folder)
            self.mend()
            self.read()
            yield


def read_events(path: Path) -> list[Event]:
    """The whole lines of a journal. Raises InputError where it is damaged or of another version."""
    events = []
    for number, line in enumerate(_whole_lines(path.read_bytes()).splitlines(), start=1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise InputError(
                f"{path}: line {number} is damaged ({error}). Restore the file, or begin a sweep of another --name."
            ) from None
    if events and events[0].get("version") != VERSION:
        found = events[0].get("version", "none")
        raise InputError(
            f"{path}: was written in version {found} of the journal, this tenfold reads version {VERSION}. "
            "Begin a sweep of another --name; the trials of this one stay ordinary runs."
        )
    return events


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
