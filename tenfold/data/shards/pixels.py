"""Pixels that are decoded from shards when they are wanted, seen as the array of a pack is."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tenfold.core.errors import TenfoldError
from tenfold.core.machine import own_cores
from tenfold.data.decode import Target, content_hash, decode_pixels
from tenfold.data.limits import BadPicture
from tenfold.data.shards.index import ShardIndex
from tenfold.data.shards.places import Places

# Images that a thread decodes at a time; parts of the work, and bytes of decoded images, that wait for it at most.
PIECE, PARTS, WAITING = 32, 4, 1 << 26


@dataclass(frozen=True, eq=False)
class ShardPixels:
    """The images of an index, `pixels[rows]`, brought to `target`: (N, H, W, C) uint8.

    buffer: how many images an epoch shuffles together. Nothing is kept of what was decoded. Threads decode, because
    Pillow lets go of Python's lock while it does: docs/scale.md has what processes would gain.
    """

    index: ShardIndex
    places: Places
    target: Target
    buffer: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As an array's."""
        return len(self.index), self.target.height, self.target.width, self.target.channels

    @property
    def nbytes(self) -> int:
        """What all of them would take, decoded."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Images (n, H, W, C) at `rows`, a slice or an array (n,) of numbers; or one (H, W, C)."""
        if isinstance(rows, slice):
            return self._decoded(np.arange(len(self))[rows])
        chosen = np.asarray(rows, np.int64)
        return self._decoded(chosen) if chosen.ndim else self._decoded(chosen[None])[0]

    def stream(self, parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """`pixels[rows]` of each part in turn, while the next ones are decoded: at most PARTS, and WAITING bytes."""
        needs = [np.unique(self._shards[rows]).tolist() for rows in parts]
        most = max(1, WAITING // max(1, self.nbytes // len(self)))
        waiting: deque[list[Future[np.ndarray]]] = deque()
        started = 0
        with self.places.following(needs) as shards, ThreadPoolExecutor(own_cores()) as pool:
            try:
                for number in range(len(parts)):
                    while started < len(parts) and (
                        started <= number or _has_room(parts[number : started + 1], most)
                    ):
                        shards.begin(started)
                        waiting.append(
                            [pool.submit(self._decoded, piece) for piece in _pieces(parts[started])]
                        )
                        started += 1
                    pieces = [future.result() for future in waiting.popleft()]
                    shards.end(number)
                    yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            finally:
                pool.shutdown(cancel_futures=True)

    @cached_property
    def _shards(self) -> np.ndarray:
        return self.index.column("shard")

    @cached_property
    def _offsets(self) -> np.ndarray:
        return self.index.column("offset")

    @cached_property
    def _sizes(self) -> np.ndarray:
        return self.index.column("size")

    @cached_property
    def _contents(self) -> np.ndarray:
        return self.index.column("content")

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        """Pixels (n, H, W, C) at `rows` (n,), read shard by shard. Raises TenfoldError for what is not as packed."""
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        order = np.lexsort((self._offsets[rows], self._shards[rows]))
        ends = np.flatnonzero(np.diff(self._shards[rows[order]])) + 1
        for start, stop in pairwise([0, *ends.tolist(), len(rows)]):
            group = order[start:stop]
            if not len(group):
                continue
            shard = int(self._shards[rows[group[0]]])
            pieces = zip(self._offsets[rows[group]].tolist(), self._sizes[rows[group]].tolist(), strict=True)
            for place, contents in zip(group.tolist(), self.places.read(shard, list(pieces)), strict=True):
                pixels[place] = self._one(int(rows[place]), shard, contents)
        return pixels

    def _one(self, row: int, shard: int, contents: bytes) -> np.ndarray:
        """One image (H, W, C). Its bytes are compared with their hash, which takes a fiftieth of decoding them."""
        if content_hash(contents) != int(self._contents[row]):
            raise TenfoldError(
                f"{self.places.name(shard)}: the bytes of {self.index.paths[row]} are not those that were packed. "
                "Copy the shard again from where it was made, or pack the source again."
            )
        try:
            return decode_pixels(contents, self.target)
        except BadPicture as error:
            raise TenfoldError(
                f"{self.places.name(shard)}: {self.index.paths[row]} cannot be decoded ({error}), though it could "
                "be when it was packed. Pack the source again with this version."
            ) from None


def _has_room(parts: Sequence[np.ndarray], most: int) -> bool:
    """Whether so many parts may be on their way."""
    return len(parts) <= PARTS and sum(map(len, parts)) <= most


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    """`rows` for threads: some at a time, but as many threads as there are have something to do."""
    size = max(1, min(PIECE, -(-len(rows) // own_cores())))
    return [rows[start : start + size] for start in range(0, len(rows), size)] or [rows]
