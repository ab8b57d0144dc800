"""Archives as trees of files, read in place."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tenfold.core.errors import InputError
from tenfold.core.text import printable
from tenfold.data.formats import Encoded, Unreadable
from tenfold.data.limits import LARGEST_FILE
from tenfold.data.sources.tree import Tree, is_junk, why_skipped


class _Zip(Tree):
    """A .zip archive."""

    endings = (".zip",)

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        with _explained(self.path), zipfile.ZipFile(self.path) as archive:
            return {clean: info for info in archive.infolist() if (clean := _clean(_name(info)))}

    def skipped(self) -> Iterator[tuple[str, str]]:
        with _explained(self.path), zipfile.ZipFile(self.path) as archive:
            named = [info for info in archive.infolist() if info.filename]  # is_dir fails for no name
            return _skipped(_name(info) for info in named if not info.is_dir())

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

    endings = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar")

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


ARCHIVES: dict[str, type[Tree]] = {ending: kind for kind in (_Zip, _Tar) for ending in kind.endings}


def open_archive(path: Path) -> Tree | None:
    """The archive at `path`, told by the ending of its name; None for other names."""
    name = path.name.lower()
    return next((kind(path) for suffix, kind in ARCHIVES.items() if name.endswith(suffix)), None)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise where the archive is cut off or garbled in the middle, which the tarfile module takes for its end."""
    stream = archive.fileobj
    if isinstance(stream, gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile):
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
    except (zipfile.BadZipFile, RuntimeError, UnicodeDecodeError) as error:
        # zipfile tells of a password by RuntimeError, of a compression that it does not know by a kind of it, and of
        # a name that is no UTF-8, though it says so, by the last.
        return Unreadable(str(error))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        KeyError,
        EOFError,
        OSError,
        RuntimeError,  # zipfile's, for a member with a password or an unknown compression
        UnicodeDecodeError,  # zipfile's, for names that say they are UTF-8 and are not
    ) as error:
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
    return iter([(printable(name), why_skipped(junk)) for name, junk in found if junk])
