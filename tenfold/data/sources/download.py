"""Fetching the named data sets: checked against the published checksum, resumed after an interruption."""

import hashlib
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import cache_folder, check_room, explained_write
from tenfold.core.terminal import is_live, make_console
from tenfold.core.text import printable
from tenfold.data.sources.trees import is_source_name

BLOCK = 1 << 18  # bytes read at once
TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class Download:
    """A file to fetch: where from, and the MD5 checksum that its publisher gives; without one it is not compared.

    `name` is the file's in the cache; "" stands for the last part of the address.
    """

    url: str
    md5: str | None
    name: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies once it is fetched, or where to put it by hand."""
        return cache_folder() / "downloads" / (self.name or self.url.rpartition("/")[2])


# Checksums from https://www.cs.toronto.edu/~kriz/cifar.html
DOWNLOADS = {
    "cifar10": Download(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
    ),
    "cifar100": Download(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"
    ),
}


def fetch(name: str) -> Path:
    """The archive of a named data set, downloaded if it is not there yet. Raises as `download` does."""
    wanted = DOWNLOADS[name]
    if not wanted.path.exists():
        download(wanted)
    return wanted.path


def fetch_address(address: str) -> tuple[Path, str]:
    """The file at an http or https address, kept in the cache, and its SHA-256 checksum.

    Raises InputError for an address whose last part is not the name of a source, and as `download` does.
    """
    name = unquote(urlsplit(address).path.rpartition("/")[2])
    if not is_source_name(name):
        raise InputError(
            f"{printable(address)}: an address must end as an archive or a table of images does, such as photos.zip. "
            "Download it, and give the file or folder with --data."
        )
    known = hashlib.blake2b(address.encode(), digest_size=4).hexdigest()
    wanted = Download(address, None, f"{known}-{printable(name)}")
    if not wanted.path.exists():
        download(wanted)
    with open(wanted.path, "rb") as file:
        return wanted.path, hashlib.file_digest(file, "sha256").hexdigest()


def open_address(request: urllib.request.Request, timeout: float) -> Any:
    """The answer to a request by http or https, to which alone a server may redirect: never to files or FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener.open(request, timeout=timeout)


def download(wanted: Download) -> None:
    """Fetch `wanted` to its path, going on with what an interrupted attempt left there.

    Raises TenfoldError when the network fails (saying which file to put where by hand), when the checksum is
    wrong, or when the disk is full.
    """
    partial = wanted.path.with_name(f"{wanted.path.name}.part")
    with explained_write(wanted.path):
        partial.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{partial}.lock"):
            if wanted.path.exists():  # another process fetched it meanwhile
                return
            while not _is_complete(wanted, partial):
                pass
            check(wanted, partial)
            partial.replace(wanted.path)


def check(wanted: Download, path: Path) -> None:
    """Compare the file at `path` with the published checksum; when they differ, remove it and raise TenfoldError."""
    if wanted.md5 is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != wanted.md5:
        path.unlink()
        raise TenfoldError(
            f"{path}: it is not the published file (MD5 {found}, expected {wanted.md5}), so it was removed. "
            f"Try again; if that does not help, put an intact copy of {wanted.url} to {wanted.path}."
        )


def _is_complete(wanted: Download, partial: Path) -> bool:
    """Try once to fetch the rest; False when the connection broke but brought something: then going on may help."""
    had = _size(partial)
    try:
        _fetch_rest(wanted.url, partial)
    except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
        if _size(partial) > had:
            return False
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        kept = (
            f" The {had >> 20} MiB that came before are kept, and the next attempt goes on from there."
            if had
            else ""
        )
        raise TenfoldError(
            f"{printable(wanted.url)}: cannot be fetched ({reason}). Without a network, fetch that file elsewhere "
            f"and put it to {wanted.path}{f' (MD5 {wanted.md5})' if wanted.md5 else ''}; or give the path of a copy "
            f"that you have with --data.{kept}"
        ) from None
    return True


def _fetch_rest(url: str, partial: Path) -> None:
    """Append what is missing, or begin anew when the server cannot go on in the middle."""
    had = _size(partial)
    headers = {"User-Agent": "tenfold", **({"Range": f"bytes={had}-"} if had else {})}
    try:
        answer = open_address(urllib.request.Request(url, headers=headers), TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing is missing any more; whether it is right, the checksum will tell
            return
        raise
    with answer:
        start = had if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        check_room(partial, int(length or 0))
        with open(partial, "ab" if start else "wb") as file:
            _copy(answer, file, partial.name.removesuffix(".part"), start, total)
    if total is not None and _size(partial) < total:
        raise ConnectionError(f"the connection ended after {_size(partial)} of {total} bytes")


def _copy(answer: Any, file: BinaryIO, name: str, start: int, total: int | None) -> None:
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    console = make_console(stderr=True)
    if not is_live(console):
        console.print(f"Fetching {name}", markup=False)
    with Progress(*columns, console=console, disable=not is_live(console)) as progress:
        task = progress.add_task(f"Fetching {name}", total=total, completed=start)
        while block := answer.read(BLOCK):
            file.write(block)
            progress.advance(task, len(block))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
