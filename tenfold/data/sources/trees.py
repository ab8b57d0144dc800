"""A folder or an archive as one kind of thing: names of files below a root, and their contents.

Nothing is ever unpacked to the disk, so no name in an archive can do harm there.
"""

import gzip
import hashlib
import os
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tenfold.core.errors import InputError
from tenfold.data.decode import LARGEST_FILE, Encoded, Unreadable

JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "Icon\r"})


class Tree(ABC):
    """Files below the root `path`, without hidden ones and the litter of operating systems."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def stem(self) -> str:
        """A name for the root, without the suffixes of archives."""
        suffix = next((suffix for suffix in ARCHIVES if self.path.name.lower().endswith(suffix)), "")
        return self.path.name[: len(self.path.name) - len(suffix)] or "root"

    @property
    def stamp(self) -> str:
        """A text that changes when a file is added, removed or changed (by its size or modification time)."""
        facts = self.path.stat()
        return f"{self.path.name} {facts.st_size} {facts.st_mtime_ns}"

    @property
    def files(self) -> dict[str, int]:
        """The sorted names of all files, with "/" between the parts, and their sizes in bytes."""
        return self._listing[0]

    @property
    def folders(self) -> set[str]:
        """The names of all folders."""
        return self._listing[1]

    @cached_property
    def _listing(self) -> tuple[dict[str, int], set[str]]:
        files, folders = self._list()
        return dict(sorted(files.items())), folders | _parents(files)

    @abstractmethod
    def _list(self) -> tuple[dict[str, int], set[str]]: ...

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """The contents of one file."""

    @abstractmethod
    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        """(position among `names`, contents or path) of each file, in the order that is cheapest to read."""


def open_tree(path: Path) -> Tree:
    """The folder, archive or single file at `path`. Raises InputError when there is none or it cannot be read."""
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise InputError(
            f"{path}: there is no such folder or file. Give the path of a folder of class folders, of an archive of "
            "one, of a .parquet or .npz file, or one of the names digits, cifar10 and cifar100."
        )
    kinds = {suffix: kind for suffix, kind in ARCHIVES.items() if path.name.lower().endswith(suffix)}
    if not kinds and not path.name.endswith((".npz", ".parquet")):
        raise InputError(
            f"{path}: a file of this kind is no source. Expected a folder, an archive ({', '.join(ARCHIVES)}), "
            "a .parquet or a .npz file."
        )
    return kinds.popitem()[1](path) if kinds else _SingleFile(path)


class _Folder(Tree):
    """A folder on the disk, scanned once on opening; links are followed, but not around in circles."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._scanned = list(_scan(str(path)))
        except OSError as error:
            raise InputError(
                f"{error.filename}: the folder cannot be read ({error.strerror}). Check its permissions."
            ) from None

    @property
    def stamp(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for folder, names, facts in self._scanned:
            digest.update(os.fsencode("\0".join([folder, *names, ""])))
            digest.update(facts.tobytes())
        return digest.hexdigest()

    def _list(self) -> tuple[dict[str, int], set[str]]:
        files: dict[str, int] = {}
        for folder, names, facts in self._scanned:
            files.update(zip([f"{folder}{name}" for name in names], facts[::2], strict=True))
        return files, {folder.rstrip("/") for folder, _, _ in self._scanned} - {""}

    def open(self, name: str) -> BinaryIO:
        return open(self.path / name, "rb")

    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        root = f"{self.path}{os.sep}"
        for position, name in enumerate(names):
            yield (
                position,
                root + name if self.files[name] >= 0 else Unreadable("no file, or a link to nothing"),
            )


class _SingleFile(Tree):
    """One file, taken for a folder that holds just it."""

    def _list(self) -> tuple[dict[str, int], set[str]]:
        return {self.path.name: self.path.stat().st_size}, set()

    def open(self, name: str) -> BinaryIO:
        return open(self.path.with_name(name), "rb")

    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        return ((position, str(self.path.with_name(name))) for position, name in enumerate(names))


class _Zip(Tree):
    """A .zip archive."""

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        with _explained(self.path), zipfile.ZipFile(self.path) as archive:
            return {clean: info for info in archive.infolist() if (clean := _clean(info.filename))}

    def _list(self) -> tuple[dict[str, int], set[str]]:
        files = {name: info.file_size for name, info in self._members.items() if not info.is_dir()}
        return files, self._members.keys() - files.keys()

    def open(self, name: str) -> BinaryIO:
        with _explained(self.path), zipfile.ZipFile(self.path) as archive:
            return BytesIO(archive.read(self._members[name]))

    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        with _explained(self.path), zipfile.ZipFile(self.path) as archive:
            for position, name in enumerate(names):
                info = self._members[name]
                yield position, _contents(info.file_size, lambda info=info: archive.read(info))


class _Tar(Tree):
    """A .tar archive, compressed or not; its members are read in the archive's order, in one pass."""

    @cached_property
    def _members(self) -> dict[str, tarfile.TarInfo]:
        with _explained(self.path), tarfile.open(self.path) as archive:
            members = archive.getmembers()
            _check_end(archive)
        return {clean: info for info in members if (clean := _clean(info.name))}

    def _list(self) -> tuple[dict[str, int], set[str]]:
        files = {name: info.size for name, info in self._members.items() if not info.isdir()}
        return files, self._members.keys() - files.keys()

    def open(self, name: str) -> BinaryIO:
        with _explained(self.path), tarfile.open(self.path) as archive:
            return BytesIO(_member_bytes(archive, self._members[name]))

    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        positions = {self._members[name].offset: position for position, name in enumerate(names)}
        with _explained(self.path), tarfile.open(self.path) as archive:
            for info in archive:
                if info.offset in positions:
                    contents = _contents(info.size, lambda info=info: _member_bytes(archive, info))
                    yield positions[info.offset], contents


ARCHIVES: dict[str, type[Tree]] = {".zip": _Zip, ".tar": _Tar, ".tar.gz": _Tar, ".tgz": _Tar}


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise where the archive is cut off or garbled in the middle, which the tarfile module takes for its end."""
    stream = archive.fileobj
    if isinstance(stream, gzip.GzipFile):
        while stream.read(1 << 20):  # to the checksum at the end
            pass
    elif stream is not None:
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("it is garbled in the middle")
        if stream.tell() < archive.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")


def _member_bytes(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info)
    if stream is None:
        raise KeyError(info.name)
    return stream.read()


def _contents(size: int, read: Callable[[], bytes]) -> Encoded:
    """A member's bytes; one that is damaged by itself counts as a bad file, not as a corrupt archive."""
    if size > LARGEST_FILE:
        return Unreadable(f"the file is larger than {LARGEST_FILE >> 20} MiB")
    try:
        return read()
    except KeyError:
        return Unreadable("no file, or a link to something that is not in the archive")
    except (zipfile.BadZipFile, RuntimeError) as error:
        # zipfile tells of a password by RuntimeError, of a compression that it does not know by a kind of it.
        return Unreadable(str(error))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, KeyError, EOFError, OSError) as error:
        raise InputError(
            f"{path}: the archive cannot be read ({error}). It may be cut off, or of another kind than its name "
            "says: fetch or make it again."
        ) from None


def _clean(name: str) -> str:
    """An archive member's name without '..', '.' and a leading '/'; '' for hidden files and litter."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    hidden = any(part.startswith(".") or part in JUNK for part in parts)
    return "" if hidden else printable("/".join(parts))


def _parents(names: dict[str, int]) -> set[str]:
    parents = {name.rpartition("/")[0] for name in names} - {""}
    return parents | {
        parent.rsplit("/", depth)[0] for parent in parents for depth in range(1, parent.count("/") + 1)
    }


def printable(name: str) -> str:
    """A file's name as text that every file format can hold: bytes that are no UTF-8 as backslash escapes."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


# Scanning ----------------------------------------------------------------------------------------------------


_Scanned = tuple[str, list[str], "array[int]"]


def _scan(root: str) -> Iterator[_Scanned]:
    """Every folder below `root`: its name there (ending in "/", or ""), the names of its files, and facts about them.

    The facts are size and modification time (ns) in turn; a size of -1 marks what is no regular file.
    """
    pending: list[tuple[str, str, tuple[str, ...]]] = [("", os.path.realpath(root), ())]
    while pending:
        folder, real, trail = pending.pop()
        path = f"{root}{os.sep}{folder}"
        names, facts, below = _scan_folder(path)
        yield folder, names, facts
        for name in reversed(below):
            if not Path(path, name).is_symlink():
                pending.append((f"{folder}{name}/", f"{real}{os.sep}{name}", trail))
            elif not _circular(target := os.path.realpath(path + name), (*trail, real)):
                pending.append((f"{folder}{name}/", target, (*trail, real)))


def _circular(target: str, trail: tuple[str, ...]) -> bool:
    """Whether following a link to `target` leads back to a folder on the way to it."""
    return any(f"{real}{os.sep}".startswith(f"{target}{os.sep}") for real in trail)


def _scan_folder(path: str) -> tuple[list[str], "array[int]", list[str]]:
    """The names of a folder's files, facts about them, and the names of the folders in it, sorted.

    This loop is most of the time that opening a packed source takes, hence its local names and the descriptor.
    """
    names: list[str] = []
    below: list[str] = []
    facts = array("q")
    status, add_name, add_fact, junk = os.stat, names.append, facts.append, JUNK
    descriptor = os.open(path, os.O_RDONLY) if os.stat in os.supports_dir_fd else None
    try:
        for name in sorted(os.listdir(path)):  # noqa: PTH208 (names alone are wanted, at full speed)
            if name[0] == "." or name in junk:
                continue
            try:
                found = status(name, dir_fd=descriptor) if descriptor is not None else status(path + name)
            except OSError:  # a link to nothing: a bad file, when it comes to reading it
                names.append(name)
                facts.extend((-1, 0))
                continue
            kind = found.st_mode & 0o170000
            if kind == stat.S_IFDIR:
                below.append(name)
                continue
            add_name(name)
            add_fact(found.st_size if kind == stat.S_IFREG else -1)
            add_fact(found.st_mtime_ns)
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return names, facts, below
