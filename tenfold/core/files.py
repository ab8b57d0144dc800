"""Writing files so that a kill or a full disk leaves either the old file or the new one, never half of one."""

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenfold.core.errors import TenfoldError
from tenfold.core.text import SHOWABLE

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST),
    *(errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EIO),
}
# A folder that was to be renamed when whole, and in which nothing changed for so long (seconds), is abandoned.
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
                f"{path}: the disk is full ({error.strerror}). Free some space there, or choose another "
                "folder with --out or TENFOLD_CACHE; what was saved before is intact."
            ) from error
        if error.errno in _REFUSED:
            raise TenfoldError(
                f"{path}: cannot be written ({error.strerror}). Choose a folder that you may write to."
            ) from error
        raise


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, sync it and rename it into place.

    The temporary file is removed when the block fails. Raises TenfoldError when the disk is full or the
    folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained_write(path):
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what `atomic` left in `folder`, and in the folders in it, when its process was killed halfway.

    For a caller that alone writes there: a process that still writes would lose its file.
    """
    for pattern in (".*.[0-9]*.tmp", "*/.*.[0-9]*.tmp"):
        for temporary in folder.glob(pattern):
            if not temporary.is_dir():
                temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove the folders in `folder` that were to be renamed when whole, and whose process was killed long ago."""
    for temporary in folder.glob(".*.[0-9]*.tmp"):
        if temporary.is_dir() and time.time() - temporary.stat().st_mtime > STALE:
            shutil.rmtree(temporary, ignore_errors=True)


def make_output_folder(path: Path) -> None:
    """Make a folder for results, and mark one that is new or empty, so that no source takes it for images.

    Raises TenfoldError where it cannot be made.
    """
    with explained_write(path):
        path.mkdir(parents=True, exist_ok=True)
        if next(path.iterdir(), None) is None:
            (path / MARK).write_text(
                "Written by tenfold, which reads no images from this folder.\n", encoding="utf-8"
            )


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
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
