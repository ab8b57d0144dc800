"""The order in which an epoch takes images from shards: near in the shards, yet shuffled.

The shards are shuffled and dealt to a few lanes. Each lane takes as many of its shards as its part of the buffer
holds, one at least, shuffles their images together, and then does the same with the next ones. Every batch takes from
all lanes, in proportion to their lengths, and its images lie in it lane by lane: so a process that learns from a part
of each batch reads the shards of some lanes only. None of this depends on how many processes there are.
"""

import numpy as np

from tenfold.core.randomness import seed_for
from tenfold.data.orders import chunked

LANES = 8


def shard_order(
    bounds: np.ndarray,
    batch_size: int,
    buffer: int,
    seed: int,
    epoch: int,
    kept: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Positions (n,) int64 of each of an epoch's batches, drawn by (seed, epoch) alone; each position once.

    bounds: (shards + 1,) where each shard's images begin among the positions, and their number; buffer: the images
    that are shuffled together, over all lanes; with `kept`, (images,) bool, only those positions take part.
    """
    generator = np.random.default_rng(seed_for(seed, "order", epoch))
    shards = generator.permutation(len(bounds) - 1)
    count = min(LANES, len(shards))
    lanes = [_lane(shards[lane::count], bounds, buffer // count, generator) for lane in range(count)]
    if kept is not None:
        lanes = [lane[kept[lane]] for lane in lanes]
    due = np.concatenate([(np.arange(len(lane)) + 0.5) / max(len(lane), 1) for lane in lanes])
    number = np.repeat(np.arange(count, dtype=np.int8), [len(lane) for lane in lanes])
    merged = np.argsort(due, kind="stable")
    batch = np.empty(len(merged), np.int64)
    batch[merged] = np.arange(len(merged)) // batch_size
    within = np.lexsort((due, number, batch))
    return chunked(np.concatenate(lanes)[within], batch_size)


def _lane(shards: np.ndarray, bounds: np.ndarray, buffer: int, generator: np.random.Generator) -> np.ndarray:
    """The positions of a lane's shards, those that fit the buffer together shuffled."""
    parts: list[np.ndarray] = []
    for window in _windows(shards, bounds, buffer):
        together = np.concatenate([np.arange(bounds[shard], bounds[shard + 1]) for shard in window])
        parts.append(generator.permutation(together))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _windows(shards: np.ndarray, bounds: np.ndarray, buffer: int) -> list[list[int]]:
    windows: list[list[int]] = []
    held = 0
    for shard in shards.tolist():
        size = int(bounds[shard + 1] - bounds[shard])
        if windows and held + size <= buffer:
            windows[-1].append(shard)
            held += size
        else:
            windows.append([shard])
            held = size
    return windows
