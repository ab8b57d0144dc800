"""Streaming from shards beside the pack: images per second, how well an epoch is shuffled, and who decodes fastest.

    python bench/streaming.py [--images 5000] [--rounds 3]

Without a model: the feed alone, an epoch in batches of 64. Photographs are noise over a blurred picture, JPEG files
of 500x375, brought to 224x224; small ones are PNG files of 32x32. Decoders: Pillow as tenfold calls it, and
torchvision's (which gives other pixels), in the main thread, in threads and in processes. Shuffling: the spread of
the classes' counts in batches, over what drawing without shards would give (1: as good), for shards that `tenfold
pack` shuffled and for shards that hold one class each.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from common import cpu_info
from PIL import Image

from tenfold.core.machine import own_cores
from tenfold.data import Source, read_splits
from tenfold.data.decode import Target, decode_pixels
from tenfold.data.feeds import feed
from tenfold.data.shards.order import shard_order
from tenfold.data.shards.packing import pack_shards
from tenfold.recipe import Data, Fit

PHOTO, SMALL = Target(224, 224, 3), Target(32, 32, 3)


def photograph(draw: np.random.Generator) -> bytes:
    blurred = Image.fromarray(draw.integers(0, 255, (12, 16, 3), np.uint8)).resize((500, 375))
    noisy = np.asarray(blurred).astype(int) + draw.integers(-12, 12, (375, 500, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def small(draw: np.random.Generator) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw.integers(0, 255, (32, 32, 3), np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def by_pillow(work: tuple[list[bytes], Target]) -> int:
    return sum(decode_pixels(contents, work[1]).shape[0] > 0 for contents in work[0])


def by_torchvision(work: tuple[list[bytes], Target]) -> int:
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms.v2.functional import center_crop, resize

    for contents in work[0]:
        image = decode_image(torch.frombuffer(bytearray(contents), dtype=torch.uint8), ImageReadMode.RGB)
        if image.shape[1] != work[1].height:
            center_crop(resize(image, [work[1].height], antialias=True), [work[1].height])
    return len(work[0])


def rate(decode: Callable, pictures: list[bytes], target: Target, pool: Executor | None) -> float:
    work = [(pictures[start : start + 32], target) for start in range(0, len(pictures), 32)]
    run: Callable[..., Iterable[int]] = pool.map if pool else map
    list(run(decode, work[:4]))
    began = time.perf_counter()
    for _ in run(decode, work):
        pass
    return len(pictures) / (time.perf_counter() - began)


def decoders(rounds: int) -> None:
    draw = np.random.default_rng(0)
    sets = {
        "photographs": ([photograph(draw) for _ in range(320)], PHOTO),
        "small": ([small(draw) for _ in range(6400)], SMALL),
    }
    for name, (pictures, target) in sets.items():
        for who, decode in (("Pillow", by_pillow), ("torchvision", by_torchvision)):
            with ThreadPoolExecutor(own_cores()) as threads, ProcessPoolExecutor(own_cores()) as processes:
                for how, pool in (("one thread", None), ("threads", threads), ("processes", processes)):
                    found = statistics.median(rate(decode, pictures, target, pool) for _ in range(rounds))
                    print(f"{name:12} {who:12} {how:12} {found:9,.0f} images/s", flush=True)


def feeds(images: int, rounds: int) -> None:
    draw = np.random.default_rng(1)
    for name, make, count in (("small", small, images), ("photographs", photograph, images // 10)):
        with TemporaryDirectory() as folder:
            for number in range(count):
                place = Path(folder, "source", "train" if number % 10 else "test", f"c{number // 10 % 10}")
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{number}.{'png' if make is small else 'jpg'}").write_bytes(make(draw))
            source, shards = Path(folder, "source"), Path(folder, "shards")
            size = {} if make is small else {"image_size": 224}
            pack_shards(Source(str(source)), shards, images=count // 20)
            began = time.perf_counter()
            packed = read_splits(Data(streaming=False, **size), Source(str(shards)))
            print(
                f"{name}: decoding into the pack takes {count / (time.perf_counter() - began):,.0f} images/s"
            )
            streamed = read_splits(Data(streaming=True, **size), Source(str(shards)))
            for way, splits in (("pack", packed), ("stream", streamed)):
                source_feed = feed(splits.train, torch.device("cpu"))
                rates = [epoch_rate(source_feed, number) for number in range(1, rounds + 1)]
                print(f"{name:12} {way:8} {statistics.median(rates):9,.0f} images/s", flush=True)


def epoch_rate(source, epoch: int) -> float:
    began, seen = time.perf_counter(), 0
    for batch in source.batches(source.order(Fit(), epoch)):
        seen += len(batch.images)
    return seen / (time.perf_counter() - began)


def shuffling(images: int = 100_000, classes: int = 10, shard: int = 1000, batch: int = 64) -> None:
    bounds = np.arange(0, images + 1, shard)
    mixed = np.random.default_rng(0).permutation(np.arange(images) % classes)
    for name, labels in (
        ("shuffled by pack", mixed),
        ("one class a shard", np.arange(images) // shard % classes),
    ):
        for buffer in (1, 8192, 32_768, images):
            orders = [shard_order(bounds, batch, buffer, 0, epoch) for epoch in (1, 2, 3)]
            print(
                f"{name:20} buffer {buffer:7,}: spread {spread(orders, labels, classes, batch):6.2f}",
                flush=True,
            )


def spread(orders: list[list[np.ndarray]], labels: np.ndarray, classes: int, batch: int) -> float:
    """Variance of the classes' counts in full batches, over that of drawing without replacement from all."""
    counts = [
        np.bincount(labels[places], minlength=classes)
        for order in orders
        for places in order
        if len(places) == batch
    ]
    share = 1 / classes
    expected = batch * share * (1 - share) * (len(labels) - batch) / (len(labels) - 1)
    return float(np.square(np.array(counts) - batch * share).mean() / expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(*cpu_info()[4:5])
    shuffling()
    decoders(asked.rounds)
    feeds(asked.images, asked.rounds)


if __name__ == "__main__":
    main()
