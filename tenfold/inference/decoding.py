"""Decoding pictures beside the model's work, within bounded memory and in order.

Small PNG files are decoded by libspng in threads; whatever that cannot do, by Pillow in processes.
"""

import os
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from tenfold.core.processes import in_order
from tenfold.data.decode import Target, decode_pixels
from tenfold.data.decode_pool import CHUNK_BYTES, CHUNK_IMAGES, INLINE_SECONDS, in_processes
from tenfold.data.formats import Encoded
from tenfold.data.png import png_decoder, suits
from tenfold.inference.pictures import Picture


@dataclass(frozen=True)
class Block:
    """Decoded pictures (n, H, W, C) uint8 with their names and labels, and (name, reason) of those met in between
    that cannot be read."""

    names: list[str]
    labels: list[str | None]
    pixels: np.ndarray
    unreadable: list[tuple[str, str]]


def blocks(
    pictures: Iterable[Picture], target: Target, size: int, *, inline: bool = False
) -> Iterator[Block]:
    """All pictures in their order, in blocks of exactly `size` readable ones; only the last may have fewer.

    `inline`: decoded by the caller alone, without threads and processes of this machine.
    """
    waiting: list[Block] = []
    ready = 0
    for block in _decoded(pictures, target, inline):
        waiting.append(block)
        ready += len(block.names)
        while ready >= size:
            whole = _joined(waiting)
            yield _cut(whole, 0, size)
            waiting = [replace(_cut(whole, size, ready), unreadable=[])] if ready > size else []
            ready -= size
    if waiting and (ready or any(block.unreadable for block in waiting)):
        yield _joined(waiting)


def _joined(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    return Block(
        [name for part in parts for name in part.names],
        [label for part in parts for label in part.labels],
        np.concatenate([part.pixels for part in parts]),
        [fault for part in parts for fault in part.unreadable],
    )


def _cut(block: Block, start: int, stop: int) -> Block:
    if stop - start == len(block.names):
        return block
    return Block(
        block.names[start:stop], block.labels[start:stop], block.pixels[start:stop], block.unreadable
    )


def _decoded(pictures: Iterable[Picture], target: Target, inline: bool) -> Iterator[Block]:
    """Blocks as they come: the first ones from here; of more, plain PNG files from threads, others from processes."""
    work = chunks(pictures, max(8, min(CHUNK_IMAGES, CHUNK_BYTES // _bytes(target))))
    if inline:
        for chunk in work:
            yield _block(chunk, *decode_all([picture.encoded for picture in chunk], target))
        return
    plain = yield from _here(work, target)
    for way in (_in_threads, _in_processes) if plain else (_in_processes,):
        first = next(work, None)
        if first is None:
            return
        work = chain([first], work)
        yield from way(work, target)


def _here(work: Iterator[list[Picture]], target: Target) -> Generator[Block, None, bool]:
    """Blocks until something should be started for the rest; whether that seems to be plain PNG files."""
    start = time.perf_counter()
    for chunk in work:
        yield _block(chunk, *decode_all([picture.encoded for picture in chunk], target))
        if suits(chunk[-1].encoded, target):
            return True
        if time.perf_counter() - start > INLINE_SECONDS:
            break
    return False


def _in_threads(work: Iterator[list[Picture]], target: Target) -> Iterator[Block]:
    """Blocks as long as half of the pictures are plain PNG files; none where there is nothing to decode them with."""
    decoder = png_decoder()
    if decoder is None:
        return
    share = 1.0

    def mostly_plain() -> Iterator[list[Picture]]:
        for chunk in work:
            yield chunk
            if share < 0.5:
                return

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, "decode") as pool:

        def submit(chunk: list[Picture]) -> Future[Any]:
            return pool.submit(decoder, [picture.encoded for picture in chunk], target)

        for chunk, (pixels, done) in in_order(submit, mostly_plain(), 2 * workers):
            share = done.mean()
            yield _completed(chunk, pixels, done, target)


def _completed(chunk: list[Picture], pixels: np.ndarray, done: np.ndarray, target: Target) -> Block:
    """The block of pictures of which only some are `done` (n,), with the others decoded here."""
    faults: list[str | None] = [None] * len(chunk)
    if done.all():
        return _block(chunk, pixels, faults)
    others = np.flatnonzero(~done)
    found, reasons = decode_all([chunk[position].encoded for position in others], target)
    for position, reason in zip(others, reasons, strict=True):
        faults[position] = reason
    readable = np.array([fault is None for fault in faults])
    pixels[~done & readable] = found
    return _block(chunk, pixels[readable], faults)


def _in_processes(work: Iterator[list[Picture]], target: Target) -> Iterator[Block]:
    for chunk, found in in_processes(partial(_decode_chunk, target), work):
        yield _block(chunk, *found)


def _decode_chunk(target: Target, chunk: list[Picture]) -> tuple[np.ndarray, list[str | None]]:
    return decode_all([picture.encoded for picture in chunk], target)


def decode_all(encoded: list[Encoded], target: Target) -> tuple[np.ndarray, list[str | None]]:
    """Pixels (n, H, W, C) uint8 of the pictures that can be read; for each given one, None or why it cannot be."""
    pixels, faults = [], []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of odd metadata; what matters is whether pixels come out
        for picture in encoded:
            try:
                pixels.append(decode_pixels(picture, target))
                faults.append(None)
            except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
                faults.append(_reason(error))
    shape = (target.height, target.width, target.channels)
    return (np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8)), faults


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _block(chunk: list[Picture], pixels: np.ndarray, faults: list[str | None]) -> Block:
    readable = [picture for picture, fault in zip(chunk, faults, strict=True) if fault is None]
    unreadable = [(p.name, fault) for p, fault in zip(chunk, faults, strict=True) if fault is not None]
    return Block([p.name for p in readable], [p.label for p in readable], pixels, unreadable)


def chunks(pictures: Iterable[Picture], images: int, most: int = CHUNK_BYTES) -> Iterator[list[Picture]]:
    """Pictures in lists that are limited in number, and in the `most` bytes that come with them."""
    chunk: list[Picture] = []
    size = 0
    for picture in pictures:
        chunk.append(picture)
        size += _size(picture.encoded)
        if len(chunk) == images or size >= most:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _size(encoded: Encoded) -> int:
    if isinstance(encoded, np.ndarray):
        return encoded.nbytes
    return len(encoded) if isinstance(encoded, bytes) else 0


def _bytes(target: Target) -> int:
    return target.height * target.width * target.channels
