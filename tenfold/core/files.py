"""Writing files so that a kill or a full disk leaves either the old file or the new one, never half of one.

What is written lies beside its place under a hidden name until it is whole, and its writer holds a lock on it. The
system lets go of the lock when the process ends, however it ends: so what a kill left is told from what is being
written, and the next one who writes there removes it.
"""

import errno
import glob
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tenfold.core.errors import TenfoldError
from tenfold.core.text import SHOWABLE

if sys.platform != "win32":
    import fcntl

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAKE_ROOM = "Free some space there, or choose another folder with --out or TENFOLD_CACHE"
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST),
    *(errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EIO),
}
# Where files cannot be locked (Windows, some network file systems): what did not change for so long is left over
# (seconds).
STALE = 3600

MARK = ".tenfold"  # a file in each folder of output that no source reads


@contextmanager
def explained_write(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write below `path` into an error that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise TenfoldError(
                f"{path}: the disk is full ({error.strerror}). {_MAKE_ROOM}; what was saved before is intact."
            ) from error
        if error.errno in _REFUSED:
            raise TenfoldError(
                f"{path}: cannot be written ({error.strerror}). Choose a folder that you may write to."
            ) from error
        raise


def check_room(path: Path, needed: int) -> None:
    """Raise TenfoldError where the disk of `path`, whose folder is there, has less than `needed` bytes free."""
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise TenfoldError(
            f"{path}: the disk is full: {needed / 2**20:,.1f} MiB are needed, and {free / 2**20:,.1f} MiB are free. "
            f"{_MAKE_ROOM}."
        )


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, sync it and rename it into place.

    The temporary file is removed when the block fails, and those of killed writers of `path` before it begins. Raises
    TenfoldError when the disk is full or the folder cannot be written.
    """
    temporary = _beside(path)
    with explained_write(path):
        remove_leftovers(path.parent, glob.escape(path.name))
        temporary.touch()
        try:
            with _held(temporary):
                yield temporary
                sync(temporary)
                temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path` to fill; whoever has filled it renames it, or calls `put_folder`.

    It is removed where it is still there when the block ends, and those of killed writers of `path` are before it
    begins.
    """
    folder = _beside(path)
    remove_leftovers(path.parent, glob.escape(path.name))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with _held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_folder(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`; a folder that was there is removed when the new one has its place."""
    sync(folder)
    old = _set_aside(path) if path.exists() else None
    folder.rename(path)
    sync(path.parent)
    if old:
        shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder, so that no reader finds half of it."""
    shutil.rmtree(_set_aside(path))


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove from `folder` the temporary files and folders of killed writers, for targets that `name` matches."""
    for leftover in folder.glob(f".{name}.[0-9]*.tmp"):
        with suppress(OSError):  # another process removes or finishes it, or it is another user's
            if not _is_written(leftover):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _set_aside(path: Path) -> Path:
    """Rename a folder to a name under which it is a leftover."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.old.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    return path.rename(aside)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a file or folder for writing, where the file system has locks."""
    if sys.platform == "win32":  # where a file that is open could not be renamed either
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_written(path: Path) -> bool:
    """Whether a living process holds a file or folder."""
    if sys.platform == "win32":
        return _is_fresh(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return _is_fresh(path)
    finally:
        os.close(descriptor)


def _is_fresh(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < STALE


def make_output_folder(path: Path) -> None:
    """Make a folder for results, and mark one that is new or empty, so that no source takes it for images.

    Raises TenfoldError where it cannot be made.
    """
    with explained_write(path):
        path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        if next(path.iterdir(), None) is None:
            write_text(path / MARK, "Written by tenfold, which reads no images from this folder.\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=SHOWABLE)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON that any strict reader accepts (no NaN)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def cache_folder() -> Path:
    """Where tenfold keeps what it can make again: `TENFOLD_CACHE`, else `~/.cache/tenfold`."""
    return Path(os.environ.get("TENFOLD_CACHE") or Path.home() / ".cache" / "tenfold")


def sync(path: Path) -> None:
    """Have the system put a file, or a folder's list of names, on the disk before going on."""
    if sys.platform == "win32" and path.is_dir():
        return  # Windows keeps such lists itself, and opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
