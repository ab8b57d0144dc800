"""Pictures in, logits out: decoding in a few threads, and one that runs the model over whatever waits for it.

No picture waits for others to arrive. While the model runs, those that come in meanwhile gather, and the next run
takes them together: an idle server answers at once, and a busy one gets its batches by itself. Where nobody waits
and the answer takes less time than waking those threads, it is given on the spot.
"""

import asyncio
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import overload

import numpy as np
from PIL import Image

from tenfold.data.formats import open_picture
from tenfold.data.limits import BadPicture, TooLarge, UnknownFormat
from tenfold.inference.contract import Contract
from tenfold.inference.predictor import Predictor
from tenfold.serving.limits import Limits
from tenfold.serving.refusals import ACCEPTED, Refused, busy

# Images in one run of the model; more make no network faster on a CPU, and the first of them wait longer.
LARGEST_BATCH = 8
# Pixels from which on a picture is decoded alone.
LARGE = 8_000_000
# What an idle server answers on the spot, in the thread that speaks HTTP: pictures of so many bytes and pixels, by
# models of so many seconds a picture. Two threads more would make each of them wait for three wake-ups.
SMALL, QUICK = 1 << 16, 0.002


@dataclass(eq=False)
class _Job:
    """Images (k, H, W, C) uint8 that wait for the model, and the future of their logits (k, K)."""

    images: np.ndarray
    future: "asyncio.Future[np.ndarray]"


class Engine:
    """Answers for many clients at a time, at most `limits.waiting` of them; `watch_batch` is told each batch's size.

    Methods are for one event loop; the threads end with `close`, and with the process in any case.
    """

    def __init__(
        self, contract: Contract, predictor: Predictor, limits: Limits, watch_batch: Callable[[int], None]
    ) -> None:
        self.contract, self.predictor, self.limits = contract, predictor, limits
        self.pending = 0
        self.seconds_an_image = 0.0
        self._watch_batch = watch_batch
        self._decoders = ThreadPoolExecutor(max(1, os.cpu_count() or 1), "decode")
        self._waiting: deque[_Job] = deque()
        self._patient: deque[_Job] = deque()  # run only where nothing else waits
        # A large picture takes hundreds of megabytes while it is decoded, so only one is at a time.
        self._large = ThreadPoolExecutor(1, "decode-large")
        self._change = threading.Condition()
        self._open = True
        self._warm_up()
        self._runner = threading.Thread(target=self._run, name="model", daemon=True)
        self._runner.start()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded, has run, and goes on running."""
        return self._open and self._runner.is_alive()

    async def ask(self, encoded: bytes) -> tuple[np.ndarray, np.ndarray]:
        """The pixels (1, H, W, C) that the model is given for one encoded picture, and its logits (1, K).

        Raises Refused: 413 for too many pixels, 415 for what is no picture, 422 for a damaged one, 503 when busy.
        """
        with self._place():
            await asyncio.sleep(0)  # whoever came at the same moment takes a place, too
            if self.pending == 1 and self._is_quick(encoded):
                pixels = self._decode(encoded)
                return pixels, self._run_model(pixels)
            pixels = await self.read(encoded)
            return pixels, await self._submit(pixels, self._waiting)

    async def ask_patiently(self, images: np.ndarray) -> np.ndarray:
        """The logits (n, K) of `images` (n, H, W, C), computed in between, when no picture waits for an answer."""
        parts = [images[start : start + LARGEST_BATCH] for start in range(0, len(images), LARGEST_BATCH)]
        return np.concatenate(await asyncio.gather(*(self._submit(part, self._patient) for part in parts)))

    async def read(self, encoded: bytes) -> np.ndarray:
        """One encoded picture as the (1, H, W, C) uint8 pixels that the model is given. Raises Refused."""
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self._decoders, self._decode, encoded, LARGE)
        return await loop.run_in_executor(self._large, self._decode, encoded) if pixels is None else pixels

    def close(self) -> None:
        """End the threads; what still waits is cancelled."""
        with self._change:
            self._open = False
            self._change.notify()
        self._runner.join(5)
        for pool in (self._decoders, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    def _place(self) -> "_Place":
        if self.pending >= self.limits.waiting:
            raise busy(self.pending * self.seconds_an_image)
        return _Place(self)

    def _is_quick(self, encoded: bytes) -> bool:
        """Whether a picture is answered about as soon as it is handed over to other threads, and back."""
        return self.seconds_an_image < QUICK and len(encoded) <= SMALL and self._pixels(encoded) <= SMALL

    @overload
    def _decode(self, encoded: bytes) -> np.ndarray: ...
    @overload
    def _decode(self, encoded: bytes, most: int) -> np.ndarray | None: ...
    def _decode(self, encoded: bytes, most: int | None = None) -> np.ndarray | None:
        """A picture's pixels (1, H, W, C); None for one of more than `most` pixels. Raises Refused."""
        try:
            if most is not None and self._pixels(encoded) > most:
                return None
            return self.contract.pixels(encoded)[None]
        except BadPicture as error:
            raise _damaged(error) from None

    def _pixels(self, encoded: bytes) -> int:
        """How many pixels a picture's header claims. Raises Refused where that is too many, or there is no header."""
        try:
            pixels = _png_pixels(encoded)
            if pixels is None:
                width, height = open_picture(encoded, "", None)[1]
                pixels = width * height
        except (TooLarge, Image.DecompressionBombWarning):
            pixels = self.limits.pixels + 1
        except UnknownFormat as error:
            raise Refused(415, f"This is {error}. Accepted: {ACCEPTED}.") from None
        except Exception as error:  # Pillow's readers raise nearly anything on damaged headers
            raise _damaged(error) from None
        if pixels > self.limits.pixels:
            raise Refused(
                413,
                f"The picture has more than {self.limits.pixels // 1_000_000} megapixels. Send a smaller one.",
            )
        return pixels

    async def _submit(self, images: np.ndarray, queue: deque[_Job]) -> np.ndarray:
        job = _Job(images, asyncio.get_running_loop().create_future())
        with self._change:
            if not self._open:
                raise busy(1)
            queue.append(job)
            self._change.notify()
        return await job.future

    # In the model's thread -----------------------------------------------------------------------------------------

    def _warm_up(self) -> None:
        """Run each size of batch once: what the model keeps in memory is then there, and an image's time is known."""
        channels, height, width = self.contract.image
        for size in range(LARGEST_BATCH, 0, -1):
            blank = np.zeros((size, height, width, channels), np.uint8)
            began = time.perf_counter()
            self.predictor.logits(blank)
            self.seconds_an_image = (time.perf_counter() - began) / size

    def _run(self) -> None:
        while jobs := self._next():
            try:
                images = np.concatenate([job.images for job in jobs]) if len(jobs) > 1 else jobs[0].images
                logits = self._run_model(images)
            except Exception as error:
                for job in jobs:
                    _settle(job.future, error)
                continue
            start = 0
            for job in jobs:
                _settle(job.future, logits[start : start + len(job.images)])
                start += len(job.images)

    def _run_model(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, K) of `images` (n, H, W, C)."""
        began = time.perf_counter()
        logits = self.predictor.logits(images)
        self.seconds_an_image += 0.1 * ((time.perf_counter() - began) / len(images) - self.seconds_an_image)
        self._watch_batch(len(images))
        return logits

    def _next(self) -> list[_Job]:
        """The jobs of the next batch; none when the engine was closed."""
        with self._change:
            while self._open and not (self._waiting or self._patient):
                self._change.wait()
            if not self._open:
                for job in (*self._waiting, *self._patient):
                    _cancel(job.future)
                return []
            if not self._waiting:
                return [self._patient.popleft()]
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]


def _damaged(error: Exception) -> Refused:
    return Refused(422, f"The picture cannot be read: {error}")


def _png_pixels(encoded: bytes) -> int | None:
    """How many pixels a PNG file's header claims; None for all other files. Pillow takes fifty times as long."""
    if encoded[:8] != b"\x89PNG\r\n\x1a\n" or encoded[12:16] != b"IHDR" or len(encoded) < 24:
        return None
    width, height = struct.unpack_from(">II", encoded, 16)
    return width * height


class _Place:
    """One of the places among those who wait for an answer."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __enter__(self) -> None:
        self.engine.pending += 1

    def __exit__(self, *_: object) -> None:
        self.engine.pending -= 1


def _settle(future: "asyncio.Future[np.ndarray]", outcome: np.ndarray | Exception) -> None:
    def settle() -> None:
        if future.done():  # its client has gone
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(settle)


def _cancel(future: "asyncio.Future[np.ndarray]") -> None:
    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(future.cancel)
