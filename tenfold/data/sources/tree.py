"""A folder, an archive or a file as one kind of thing: names of files below a root, and their contents.

Nothing is ever unpacked to the disk, so no name in an archive can do harm there.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, ClassVar

from tenfold.core.files import MARK
from tenfold.data.formats import Encoded, is_picture

SAMPLED = 256  # files whose bytes are looked at whenever a source is opened
SAMPLED_BYTES = 1024  # at each of three places

# Files and folders of operating systems, network drives and tools, in lower case; never classes nor images.
JUNK = frozenset(
    {
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"),
        *(f"found.{number:03}" for number in range(1000)),
        *("@eadir", "@recycle", "@recently-snapshot", "@synoresource", "@tmp", "#recycle", "#snapshot"),
        *("__pycache__", "node_modules"),
    }
)
_RUN = {"recipe.toml", "data.json"}  # what every run folder holds


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or the litter of a system or tool."""
    return name[0] == "." or name.lower() in JUNK


def is_own(names: Collection[str]) -> bool:
    """Whether tenfold made the folder that holds `names`: a run, an inspection, a comparison, a sweep."""
    return MARK in names or set(names) >= _RUN


def why_skipped(name: str) -> str:
    """Why a file or folder was skipped, by its name."""
    if name[0] == ".":
        return "hidden"
    return "of a system or tool" if is_junk(name) else "made by tenfold"


class Tree(ABC):
    """Files below the root `path`, without hidden ones, the litter of systems, and what tenfold made itself."""

    endings: ClassVar[tuple[str, ...]] = ()  # of the files that are such a tree by themselves

    def __init__(self, path: Path) -> None:
        self.path = path

    def place(self, name: str) -> str:
        """Where a file of it is, for messages."""
        return str(self.path if self.path.is_file() else self.path / name)

    @property
    def stem(self) -> str:
        """A name for the root, without the suffixes of archives."""
        suffix = next((suffix for suffix in self.endings if self.path.name.lower().endswith(suffix)), "")
        return self.path.name[: len(self.path.name) - len(suffix)] or "root"

    @property
    def stamp(self) -> str:
        """A text that changes when a file is added, removed or changed.

        A change is told by size, modification time and change time, and by the bytes of a sample of the files.
        """
        facts = self.path.stat()
        times = f"{facts.st_mtime_ns} {facts.st_ctime_ns}"
        return f"{self.path.name} {facts.st_size} {times} {sampled_bytes([str(self.path)])}"

    @property
    def files(self) -> dict[str, int]:
        """The sorted names of all files, with "/" between the parts, and their sizes in bytes."""
        return self._listing[0]

    @property
    def folders(self) -> set[str]:
        """The names of all folders."""
        return self._listing[1]

    def called(self, names: Collection[str]) -> list[str]:
        """The names of those files whose last part is one of `names`."""
        return [name for name in self.files if name.rpartition("/")[2] in names]

    @cached_property
    def pictures(self) -> list[str]:
        """The names of those files that end as pictures do."""
        return [name for name in self.files if is_picture(name)]

    @cached_property
    def _listing(self) -> tuple[dict[str, int], set[str]]:
        files, folders = self._list()
        return dict(sorted(files.items())), folders | _parents(files)

    @abstractmethod
    def skipped(self) -> Iterator[tuple[str, str]]:
        """(name, reason) of every file that is not among `files`."""

    @abstractmethod
    def _list(self) -> tuple[dict[str, int], set[str]]: ...

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """The contents of one file."""

    @abstractmethod
    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        """(position among `names`, contents or path) of each file, in the order that is cheapest to read."""


def _parents(names: dict[str, int]) -> set[str]:
    parents = {name.rpartition("/")[0] for name in names} - {""}
    return parents | {
        parent.rsplit("/", depth)[0] for parent in parents for depth in range(1, parent.count("/") + 1)
    }


def sampled_bytes(paths: Sequence[str]) -> str:
    """A hash of the first, middle and last bytes of each file; one that cannot be read counts as empty."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with suppress(OSError), open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= 3 * SAMPLED_BYTES:
                digest.update(file.read(size))
                continue
            for place in (0, size // 2, size - SAMPLED_BYTES):
                file.seek(place)
                digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()
