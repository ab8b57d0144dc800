"""Decoding many pictures into one file of pixels, over all cores and within bounded memory."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core.errors import TenfoldError
from tenfold.core.processes import Item, Result, for_parent, in_order
from tenfold.data.decode import Original, Target, decode, extremes
from tenfold.data.formats import Encoded
from tenfold.data.limits import BadPicture

CHUNK_IMAGES = 256
CHUNK_BYTES = 1 << 22  # of encoded pictures; bounds what waits between the processes
INLINE_SECONDS = 0.3  # about what starting the processes takes
IDLE_SECONDS = 2  # after which the processes end: training needs their memory


@dataclass(frozen=True)
class Chunk:
    """Pictures on their way to a worker, with the row of the pixel file that each one goes to."""

    rows: list[int]
    encoded: list[Encoded]


Outcome = tuple[int, Original | str]  # row; what the image was, or why it could not be read


def chunks(images: Iterable[tuple[int, Encoded]]) -> Iterator[Chunk]:
    """Cut (row, picture) into chunks that are limited in number and in bytes."""
    rows: list[int] = []
    encoded: list[Encoded] = []
    size = 0
    for row, picture in images:
        rows.append(row)
        encoded.append(picture)
        size += (
            picture.nbytes
            if isinstance(picture, np.ndarray)
            else len(picture)
            if isinstance(picture, bytes)
            else 0
        )
        if len(rows) == CHUNK_IMAGES or size >= CHUNK_BYTES:
            yield Chunk(rows, encoded)
            rows, encoded, size = [], [], 0
    if rows:
        yield Chunk(rows, encoded)


def decode_into(path: Path, offset: int, work: Iterator[Chunk], target: Target) -> Iterator[list[Outcome]]:
    """Decode every chunk and write its pixels into the file at `path`, rows beginning at byte `offset`.

    Raises Misfit as decode does, and OSError when the disk is full.
    """
    return _spread(partial(decode_chunk, path, offset, target), work)


def measure(work: Iterator[Chunk]) -> Iterator[tuple[str, float, float]]:
    """(kind, lowest, highest value) of every picture of more than 8 bits; see extremes."""
    for found in _spread(measure_chunk, work):
        yield from (values for values in found if values is not None)


def look(work: Iterator[Chunk]) -> Iterator[list[Outcome]]:
    """What every picture is at its own size, or why it cannot be read."""
    return _spread(look_chunk, work)


def _spread(function: Callable[[Chunk], list[Any]], work: Iterator[Chunk]) -> Iterator[list[Any]]:
    """`function` of every chunk, in their order.

    Small work is done here; for more, processes are started that need no guard in the caller's main module.
    """
    start = time.perf_counter()
    for chunk in work:
        yield function(chunk)
        if time.perf_counter() - start > INLINE_SECONDS:
            break
    first = next(work, None)
    if first is None:
        return
    for _, outcomes in in_processes(function, chain([first], work)):
        yield outcomes


def in_processes(function: Callable[[Item], Result], work: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Each item of `work` and `function` of it, in order, computed by as many processes as there are cores.

    At most so many items are on their way that every process has one in hand and one waiting. The processes need no
    guard in the caller's main module. Raises TenfoldError when one was killed.
    """
    from loky import cpu_count  # slow to load, and needed only here

    workers = cpu_count()
    pool = _pool(workers)

    def submit(item: Item) -> "Future[Result]":
        return pool.submit(for_parent, os.getpid(), function, item)

    try:
        yield from in_order(submit, work, 2 * workers)
    except BrokenProcessPool:
        _pool.cache_clear()  # a broken pool takes no more work
        raise TenfoldError(
            "a process that decodes pictures was killed, most likely because the memory is used up. Close what "
            "else needs much memory, and look for pictures of enormous size."
        ) from None


@cache
def _pool(workers: int) -> Executor:
    """Kept for the next work, and tenfold's own: joblib fails on finding processes that it did not start itself."""
    from loky import ProcessPoolExecutor

    # Said of every process that ends for being idle while the model is slow, which is what IDLE_SECONDS is for.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    return ProcessPoolExecutor(workers, timeout=IDLE_SECONDS)


def decode_chunk(path: Path, offset: int, target: Target, chunk: Chunk) -> list[Outcome]:
    """Decode one chunk in this process; see decode_into."""
    shape = (target.height, target.width, target.channels)
    pixels = np.empty((len(chunk.rows), *shape), np.uint8)
    outcomes: list[Outcome] = []
    with _quiet():
        for place, (row, encoded) in enumerate(zip(chunk.rows, chunk.encoded, strict=True)):
            try:
                pixels[place], original = decode(encoded, target)
                outcomes.append((row, original))
            except BadPicture as error:
                pixels[place] = 0
                outcomes.append((row, str(error)))
    _write(path, offset, chunk.rows, pixels)
    return outcomes


def measure_chunk(chunk: Chunk) -> list[tuple[str, float, float] | None]:
    """The extremes of one chunk's pictures; see measure."""
    with _quiet():
        return [extremes(encoded) for encoded in chunk.encoded]


def look_chunk(chunk: Chunk) -> list[Outcome]:
    """Decode one chunk, and keep no pixels; see look."""
    found: list[Outcome] = []
    with _quiet():
        for row, encoded in zip(chunk.rows, chunk.encoded, strict=True):
            try:
                found.append((row, decode(encoded, None)[1]))
            except BadPicture as error:
                found.append((row, str(error)))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of odd metadata: what matters is whether pixels come out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _write(path: Path, offset: int, rows: list[int], pixels: np.ndarray) -> None:
    """Write each image to its row, neighbouring rows at once."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    with open(path, "r+b", buffering=0) as file:
        for run in np.split(np.arange(len(rows)), breaks):
            file.seek(offset + rows[run[0]] * pixels[0].nbytes)
            file.write(pixels[run[0] : run[-1] + 1].data)
