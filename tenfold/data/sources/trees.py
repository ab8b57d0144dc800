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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tenfold.core.errors import InputError
from tenfold.core.files import MARK
from tenfold.core.text import printable
from tenfold.data.formats import Encoded, Unreadable, is_picture
from tenfold.data.limits import LARGEST_FILE

# Files and folders of operating systems, network drives and tools, in lower case; never classes nor images.
JUNK = frozenset(
    {
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
        *("$recycle.bin", "recycler", "system volume information", "lost+found", "found.000"),
        *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
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


class Tree(ABC):
    """Files below the root `path`, without hidden ones, the litter of systems, and what tenfold made itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def stem(self) -> str:
        """A name for the root, without the suffixes of archives."""
        suffix = next((suffix for suffix in ARCHIVES if self.path.name.lower().endswith(suffix)), "")
        return self.path.name[: len(self.path.name) - len(suffix)] or "root"

    @property
    def stamp(self) -> str:
        """A text that changes when a file is added, removed or changed.

        A change is told by size, modification time and change time, and by the bytes of a sample of the files.
        """
        facts = self.path.stat()
        times = f"{facts.st_mtime_ns} {facts.st_ctime_ns}"
        return f"{self.path.name} {facts.st_size} {times} {_sampled([str(self.path)])}"

    @property
    def files(self) -> dict[str, int]:
        """The sorted names of all files, with "/" between the parts, and their sizes in bytes."""
        return self._listing[0]

    @property
    def folders(self) -> set[str]:
        """The names of all folders."""
        return self._listing[1]

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
        digest.update(_sampled(list(self._sample())).encode())
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
                yield from _files_below(str(self.path), f"{scanned.folder}{name}", _why(name))

    def _list(self) -> tuple[dict[str, int], set[str]]:
        files: dict[str, int] = {}
        for scanned in self._scanned:
            names = [f"{scanned.folder}{name}" for name in scanned.names]
            files.update(zip(names, scanned.facts[::FACTS], strict=True))
        return files, {scanned.folder.rstrip("/") for scanned in self._scanned} - {""}

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

    def skipped(self) -> Iterator[tuple[str, str]]:
        return iter(())

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
            return {clean: info for info in archive.infolist() if (clean := _clean(_name(info)))}

    def skipped(self) -> Iterator[tuple[str, str]]:
        with _explained(self.path), zipfile.ZipFile(self.path) as archive:
            return _skipped(_name(info) for info in archive.infolist() if not info.is_dir())

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


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name: programs write UTF-8 also without the flag for it, and zipfile takes that for DOS's page."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


class _Tar(Tree):
    """A .tar archive, compressed or not; its members are read in the archive's order, in one pass."""

    @cached_property
    def _members(self) -> dict[str, tarfile.TarInfo]:
        with _explained(self.path), tarfile.open(self.path) as archive:
            members = archive.getmembers()
            _check_end(archive)
        self._names = [info.name for info in members if not info.isdir()]
        return {clean: info for info in members if (clean := _clean(info.name))}

    def skipped(self) -> Iterator[tuple[str, str]]:
        _ = self._members
        return _skipped(self._names)

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
    parts = _parts(name)
    return "" if any(map(is_junk, parts)) else printable("/".join(parts))


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in {"", ".", ".."}]


def _skipped(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, reason) of those archive members that `_clean` leaves out."""
    found = [(name, next((part for part in _parts(name) if is_junk(part)), None)) for name in names]
    return iter([(printable(name), _why(junk)) for name, junk in found if junk])


def _why(name: str) -> str:
    """Why a file or folder was skipped, by its name."""
    if name[0] == ".":
        return "hidden"
    return "of a system or tool" if is_junk(name) else "made by tenfold"


def _parents(names: dict[str, int]) -> set[str]:
    parents = {name.rpartition("/")[0] for name in names} - {""}
    return parents | {
        parent.rsplit("/", depth)[0] for parent in parents for depth in range(1, parent.count("/") + 1)
    }


# Scanning ----------------------------------------------------------------------------------------------------

FACTS = 4  # of each file: size, or -1 for what is no regular file; modification and change time (ns); inode
SAMPLED = 256  # files whose bytes are looked at whenever a source is opened
SAMPLED_BYTES = 1024  # at each of three places


@dataclass(frozen=True)
class _Scanned:
    """A folder below the root: its name there (ending in "/", or ""), its files, FACTS of each, what was skipped."""

    folder: str
    names: list[str]
    facts: "array[int]"
    skipped: list[str]


def _scan(root: str) -> list[_Scanned]:
    """Every folder below `root`; those that tenfold made, and folders with nothing else in them, are skipped."""
    found: dict[str, _Scanned] = {}
    skipped: list[str] = []
    pending: list[tuple[str, str, tuple[str, ...]]] = [("", os.path.realpath(root), ())]
    while pending:
        folder, real, trail = pending.pop()
        path = f"{root}{os.sep}{folder}"
        names, facts, below, junk = _scan_folder(path)
        if folder and is_own([*names, *junk]):
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
    scanned = found[above]
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


def _sampled(paths: Sequence[str]) -> str:
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
