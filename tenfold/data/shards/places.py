"""Where shards lie, and how bytes of them are had: files of this machine, or addresses that fsspec opens."""

import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import cache_folder, explained_write, remove_leftovers, whole_folder
from tenfold.core.text import printable
from tenfold.data.shards.index import Shard
from tenfold.data.shards.tar import sha256

# Shards that are fetched before they are needed; so many are fetched at a time.
AHEAD = 4
BETWEEN = 1 << 16  # bytes that are rather sent in vain than asked around
ATTEMPTS, WAIT = 3, 1.0  # of fetching a shard; seconds between them, doubled each time

Piece = tuple[int, int]  # where bytes of a shard begin, and how many they are


class Places(ABC):
    """Where the shards of an index lie; numbers of shards are those of the index."""

    def __init__(self, where: str, shards: Sequence[Shard]) -> None:
        self.where, self.shards = where, tuple(shards)

    def name(self, shard: int) -> str:
        """A shard's place, for messages."""
        return f"{self.where.rstrip('/')}/{self.shards[shard].name}"

    @abstractmethod
    def read(self, shard: int, pieces: Sequence[Piece]) -> list[bytes]:
        """Those bytes of a shard. Raises TenfoldError where they cannot be had."""

    @abstractmethod
    def following(self, needs: Sequence[Sequence[int]]) -> AbstractContextManager["Ahead"]:
        """Make ready for parts of the work that need those shards each, one part after the other."""


class Ahead:
    """What is told how far the work is. Where shards are files already, nothing has to be done."""

    def begin(self, part: int) -> None:
        """Wait until the shards that a part needs are here."""

    def end(self, part: int) -> None:
        """A part is done, and so are those before it."""


class LocalPlaces(Places):
    """Shards in a folder of this machine."""

    def read(self, shard: int, pieces: Sequence[Piece]) -> list[bytes]:
        """Read them from the file."""
        return _read(Path(self.name(shard)), pieces)

    def following(self, needs: Sequence[Sequence[int]]) -> AbstractContextManager[Ahead]:
        """Nothing to be done."""
        return nullcontext(Ahead())


class RemotePlaces(Places):
    """Shards at an address: single pictures are fetched by their bytes, and whole shards where work follows them.

    A fetched shard is compared with its checksum, and removed when no part of the work that follows needs it.
    """

    def __init__(self, where: str, shards: Sequence[Shard]) -> None:
        super().__init__(where, shards)
        self.held: dict[int, Path] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"where": self.where, "shards": self.shards, "held": {}}

    @cached_property
    def remote(self) -> "Remote":
        """The address."""
        return Remote(self.where)

    def read(self, shard: int, pieces: Sequence[Piece]) -> list[bytes]:
        """Read them from the fetched shard, or have them sent alone."""
        if path := self.held.get(shard):
            return _read(path, pieces)
        return self.remote.ranges(self.shards[shard].name, pieces)

    @contextmanager
    def following(self, needs: Sequence[Sequence[int]]) -> Iterator[Ahead]:
        """Fetch whole shards, some ahead of the work, into a folder of the cache that is removed in the end."""
        place = cache_folder() / "shards" / uuid4().hex
        with explained_write(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(place.parent)
            with whole_folder(place) as folder, ThreadPoolExecutor(AHEAD) as pool:
                fetching = _Fetching(self, folder, pool, needs)
                try:
                    yield fetching
                finally:
                    fetching.stop()


class _Fetching(Ahead):
    """The shards on their way, by the parts of the work that need them first and last."""

    def __init__(
        self, places: RemotePlaces, folder: Path, pool: ThreadPoolExecutor, needs: Sequence[Sequence[int]]
    ) -> None:
        self.places, self.folder, self.pool, self.needs = places, folder, pool, needs
        self.last = {shard: part for part, shards in enumerate(needs) for shard in shards}
        self.first = {shard: part for part, shards in reversed([*enumerate(needs)]) for shard in shards}
        self.queue = sorted(self.first, key=lambda shard: (self.first[shard], shard))
        self.leaving = sorted(self.last, key=lambda shard: self.last[shard])
        self.coming: dict[int, Future[Path]] = {}

    def begin(self, part: int) -> None:
        later = 0
        while self.queue and (self.first[self.queue[0]] <= part or later < AHEAD):
            later = sum(self.first[shard] > part for shard in self.coming)
            if self.first[self.queue[0]] > part and later >= AHEAD:
                break
            shard = self.queue.pop(0)
            self.coming[shard] = self.pool.submit(self._fetched, shard)
        for shard in self.needs[part]:
            if shard not in self.places.held:
                self.places.held[shard] = self.coming[shard].result()

    def end(self, part: int) -> None:
        while self.leaving and self.last[self.leaving[0]] <= part:
            self._drop(self.leaving.pop(0))

    def stop(self) -> None:
        """Let go of all that is held or on its way."""
        self.pool.shutdown(cancel_futures=True)
        for shard in list(self.places.held):
            self._drop(shard)

    def _fetched(self, shard: int) -> Path:
        facts = self.places.shards[shard]
        path = self.folder / facts.name
        self.places.remote.fetch(facts.name, path, facts.sha256)
        return path

    def _drop(self, shard: int) -> None:
        self.coming.pop(shard, None)
        if path := self.places.held.pop(shard, None):
            path.unlink(missing_ok=True)


class Remote:
    """A folder at an address, by fsspec. Raises InputError where nothing can open addresses of its kind."""

    def __init__(self, where: str) -> None:
        import fsspec

        try:
            self._system, self._root = fsspec.core.url_to_fs(where)
        except (ImportError, ValueError) as error:
            raise InputError(
                f"{printable(where)}: addresses of this kind cannot be opened ({error}). Install what opens them, "
                "`pip install 'tenfold[remote]'` for s3://, gs:// and http(s)://, or copy the shards to this machine."
            ) from None

    def fetch(self, name: str, path: Path, checksum: str | None = None) -> None:
        """Put a file of the folder to `path`. Raises TenfoldError where it cannot be had whole."""

        def get() -> None:
            self._system.get_file(self._address(name), str(path))
            if checksum is not None and sha256(path) != checksum:
                raise OSError("its SHA-256 is another than the index says")

        self._tried(name, get)

    def ranges(self, name: str, pieces: Sequence[Piece]) -> list[bytes]:
        """Those bytes of a file of the folder. Raises TenfoldError where they cannot be had."""
        spans = _spans(pieces)
        starts, ends = [start for start, _ in spans], [end for _, end in spans]
        address = self._address(name)
        found = self._tried(
            name,
            lambda: self._system.cat_ranges([address] * len(spans), starts, ends, on_error="raise"),
        )
        sent = []
        for start, size in pieces:
            span = bisect_right(starts, start) - 1
            sent.append(found[span][start - starts[span] :][:size])
        return sent

    def _address(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _tried(self, name: str, get: Any) -> Any:
        """What `get` gives; some attempts are made, since networks fail now and then."""
        for attempt in range(ATTEMPTS):
            try:
                return get()
            except Exception as error:  # every file system of fsspec has exceptions of its own
                if attempt + 1 == ATTEMPTS:
                    raise TenfoldError(
                        f"{printable(self._address(name))}: cannot be fetched ({error or type(error).__name__}). Try "
                        "again; if that does not help, look whether the address and your right to read it are right."
                    ) from None
                time.sleep(WAIT * 2**attempt)
        raise AssertionError


def _spans(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """(start, end) of what is asked for: pieces with little between them are one request."""
    spans: list[tuple[int, int]] = []
    for start, size in sorted(pieces):
        if spans and start - spans[-1][1] <= BETWEEN:
            spans[-1] = (spans[-1][0], max(spans[-1][1], start + size))
        else:
            spans.append((start, start + size))
    return spans


def _read(path: Path, pieces: Sequence[Piece]) -> list[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            return [_piece(file, *piece) for piece in pieces]
    except OSError as error:
        raise TenfoldError(
            f"{path}: the shard cannot be read ({error.strerror}). Put it back, and go on with `tenfold resume`."
        ) from None


def _piece(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
