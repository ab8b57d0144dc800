"""A folder on the disk as a tree of files."""

import hashlib
import os
import stat
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tenfold.core.errors import InputError
from tenfold.core.files import cache_folder
from tenfold.core.text import printable
from tenfold.data.formats import Encoded, Unreadable
from tenfold.data.sources.tree import JUNK, SAMPLED, Tree, is_own, sampled_bytes, why_skipped

FACTS = 4  # of each file: size, or -1 for what is no regular file; modification and change time (ns); inode


def open_folder(path: Path) -> Tree:
    """The folder at `path`, scanned. Raises InputError where it cannot be read."""
    return _Folder(path)


class _Folder(Tree):
    """A folder on the disk, scanned once on opening; links are followed, but not around in circles."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._scanned = _scan(str(path))
        except OSError as error:
            raise InputError(
                f"{error.filename}: the folder cannot be read ({error.strerror}). Check its permissions."
            ) from None

    @property
    def stamp(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for scanned in self._scanned:
            digest.update(os.fsencode("\0".join([scanned.folder, *scanned.names, ""])))
            digest.update(scanned.facts.tobytes())
        digest.update(sampled_bytes(list(self._sample())).encode())
        return digest.hexdigest()

    def _sample(self) -> Iterator[str]:
        """The paths of at most SAMPLED files, evenly spread."""
        step = -(-sum(len(scanned.names) for scanned in self._scanned) // SAMPLED) or 1
        start = 0
        for scanned in self._scanned:
            for place in range(start, len(scanned.names), step):
                if scanned.facts[FACTS * place] > 0:
                    yield f"{self.path}{os.sep}{scanned.folder}{scanned.names[place]}"
            start = (start - len(scanned.names)) % step

    def skipped(self) -> Iterator[tuple[str, str]]:
        for scanned in self._scanned:
            for name in scanned.skipped:
                yield from _files_below(str(self.path), f"{scanned.folder}{name}", why_skipped(name))

    def _list(self) -> tuple[dict[str, int], set[str]]:
        files: dict[str, int] = {}
        for scanned in self._scanned:
            names = [f"{scanned.folder}{name}" for name in scanned.names]
            files.update(zip(names, scanned.facts[::FACTS], strict=True))
        return files, {scanned.folder.rstrip("/") for scanned in self._scanned} - {""}

    def called(self, names: Collection[str]) -> list[str]:
        """The same as for every tree, from what was scanned: opening a packed source lists no files."""
        found = [
            f"{scanned.folder}{name}"
            for scanned in self._scanned
            for name in names
            if (place := bisect_left(scanned.names, name)) < len(scanned.names)
            and scanned.names[place] == name
        ]
        return sorted(found)

    def open(self, name: str) -> BinaryIO:
        return open(self.path / name, "rb")

    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        root = f"{self.path}{os.sep}"
        for position, name in enumerate(names):
            yield (
                position,
                root + name if self.files[name] >= 0 else Unreadable("no file, or a link to nothing"),
            )


@dataclass(frozen=True)
class _Scanned:
    """A folder below the root: its name there (ending in "/", or ""), its files, FACTS of each, what was skipped."""

    folder: str
    names: list[str]
    facts: "array[int]"
    skipped: list[str]


def _scan(root: str) -> list[_Scanned]:
    """Every folder below `root`; those that tenfold made, and folders with nothing else in them, are skipped."""
    cache = os.path.realpath(cache_folder())
    found: dict[str, _Scanned] = {}
    skipped: list[str] = []
    pending: list[tuple[str, str, tuple[str, ...]]] = [("", os.path.realpath(root), ())]
    while pending:
        folder, real, trail = pending.pop()
        path = f"{root}{os.sep}{folder}"
        names, facts, below, junk = _scan_folder(path)
        if folder and (real == cache or is_own([*names, *junk])):
            skipped.append(folder)
            continue
        found[folder] = _Scanned(folder, names, facts, junk)
        for name in reversed(below):
            if not Path(path, name).is_symlink():
                pending.append((f"{folder}{name}/", f"{real}{os.sep}{name}", trail))
            elif not _circular(target := os.path.realpath(path + name), (*trail, real)):
                pending.append((f"{folder}{name}/", target, (*trail, real)))
    for folder in skipped:
        _skip(found, folder)
    return list(found.values())


def _skip(found: dict[str, _Scanned], folder: str) -> None:
    """Note `folder` as skipped in the folder above it, which goes as well if nothing else is in it."""
    above, _, name = folder.rstrip("/").rpartition("/")
    above = f"{above}/" if above else ""
    if (scanned := found.get(above)) is None:  # the folder above went as a whole, with an earlier one
        return
    scanned.skipped.append(name)
    inside = any(other.startswith(above) and other != above for other in found)
    if above and not scanned.names and not inside:
        del found[above]
        _skip(found, above)


def _files_below(root: str, name: str, reason: str) -> Iterator[tuple[str, str]]:
    """(name, reason) of a skipped file, or of every file in a skipped folder; links are not followed."""
    path = f"{root}{os.sep}{name}"
    if not Path(path).is_dir() or Path(path).is_symlink():
        yield printable(name), reason
        return
    for folder, _, files in os.walk(path):
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        for file in files:
            yield printable(f"{inside}/{file}"), reason


def _circular(target: str, trail: tuple[str, ...]) -> bool:
    """Whether following a link to `target` leads back to a folder on the way to it."""
    return any(f"{real}{os.sep}".startswith(f"{target}{os.sep}") for real in trail)


def _scan_folder(path: str) -> tuple[list[str], "array[int]", list[str], list[str]]:
    """The names of a folder's files, FACTS about them, the folders in it, and what is skipped, sorted.

    This loop is most of the time that opening a packed source takes, hence its local names and the descriptor.
    """
    names: list[str] = []
    below: list[str] = []
    skipped: list[str] = []
    facts = array("q")
    status, add_name, add_facts, junk = os.stat, names.append, facts.extend, JUNK
    descriptor = os.open(path, os.O_RDONLY) if os.stat in os.supports_dir_fd else None
    try:
        for name in sorted(os.listdir(path)):  # noqa: PTH208 (names alone are wanted, at full speed)
            if name[0] == "." or name.lower() in junk:
                skipped.append(name)
                continue
            try:
                found = status(name, dir_fd=descriptor) if descriptor is not None else status(path + name)
            except OSError:  # a link to nothing: a bad file, when it comes to reading it
                add_name(name)
                add_facts((-1, 0, 0, 0))
                continue
            kind = found.st_mode & 0o170000
            if kind == stat.S_IFDIR:
                below.append(name)
                continue
            add_name(name)
            size = found.st_size if kind == stat.S_IFREG else -1
            add_facts((size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & 0x7FFFFFFFFFFFFFFF))
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return names, facts, below, skipped
