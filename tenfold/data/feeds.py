"""Whole batches from a split's uint8 pixels, and the order in which an epoch takes them."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from tenfold.core.randomness import seed_for
from tenfold.data import Split

# Images per batch where nothing is learned: large enough to keep the cores busy, small enough for the cache.
EVALUATION_BATCH = 256
# A GPU gains by fewer and larger steps; so many pixels fit any.
GPU_EVALUATION_PIXELS = 2**21


class Batches:
    """A split's images and labels on a device, taken by position.

    On a CPU the pixels stay in the memory map, and a batch is one gather from it. On another device all of the
    split's pixels are copied there once.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self.split = split
        self.device = device
        self.labels = torch.from_numpy(np.asarray(split.labels)).to(device)
        self.pixels = None if device.type == "cpu" else torch.from_numpy(split.pixels[split.rows]).to(device)

    def __len__(self) -> int:
        return len(self.split)

    def take(self, positions: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, C, H, W), uint8 in channels_last memory, and labels (n,) int64 at `positions` (n,)."""
        positions = torch.as_tensor(positions, device=self.device)
        if self.pixels is None:
            pixels = torch.from_numpy(self.split.pixels[self.split.rows[positions.numpy()]])
        else:
            pixels = self.pixels[positions]
        return pixels.permute(0, 3, 1, 2), self.labels[positions]

    def placed(self, order: list[np.ndarray]) -> tuple[Tensor, ...]:
        """The positions of each batch of `order`, copied to the device at once: a copy for each would stall it."""
        together = torch.from_numpy(np.concatenate(order)).to(self.device)
        return together.split([len(positions) for positions in order])

    def in_order(self, batch_size: int | None = None) -> list[np.ndarray]:
        """Positions of all images in batches, first to last; without a size, in one that suits the device."""
        if batch_size is None:
            height, width = self.split.pixels.shape[1:3]
            batch_size = evaluation_batch(height, width, self.device)
        return _chunks(np.arange(len(self)), batch_size)


def evaluation_batch(height: int, width: int, device: torch.device) -> int:
    """How many images of that size suit `device` at once where nothing is learned."""
    beside_cpu = max(EVALUATION_BATCH, GPU_EVALUATION_PIXELS // (height * width))
    return EVALUATION_BATCH if device.type == "cpu" else beside_cpu


def epoch_order(
    split: Split, batch_size: int, batches: str, seed: int, epoch: int, kept: np.ndarray | None = None
) -> list[np.ndarray]:
    """Positions (n,) int64 of each of an epoch's training batches, shuffled by (seed, epoch) alone.

    With `kept`, (images,) bool, only those positions take part.

    With `batches` "split" the whole split is shuffled and cut. With "folder" each source folder is shuffled and
    cut by itself and then the batches are shuffled, which is what the notebooks' concatenated Keras data sets do
    (one short batch a folder: 628 batches of 64 for four folders of 10,000 images).
    """
    generator = np.random.default_rng(seed_for(seed, "order", epoch))

    def shuffled(start: int, stop: int) -> list[np.ndarray]:
        positions = start + generator.permutation(stop - start)
        return _chunks(positions if kept is None else positions[kept[positions]], batch_size)

    if batches == "split":
        return shuffled(0, len(split))
    bounds = np.cumsum([0, *split.folders])
    chunks = [chunk for start, stop in pairwise(bounds) for chunk in shuffled(start, stop)]
    return [chunks[i] for i in generator.permutation(len(chunks))]


def hardest(losses: np.ndarray, share: float, seed: int, epoch: int) -> np.ndarray:
    """Which images (n,) bool are the `share` of largest `losses` (n,); a tie is broken by (seed, epoch)."""
    count = max(1, round(share * len(losses)))
    order = np.random.default_rng(seed_for(seed, "hardest", epoch)).permutation(len(losses))
    kept = np.zeros(len(losses), bool)
    kept[order[np.argsort(-losses[order], kind="stable")[:count]]] = True
    return kept


def _chunks(positions: np.ndarray, size: int) -> list[np.ndarray]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]
