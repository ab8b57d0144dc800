"""The contract of what feeds training and testing: batches of a split's images on a device, for a rank of a world."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tenfold.core.axes import channels_first
from tenfold.core.world import ALONE, World
from tenfold.data import Split
from tenfold.data.orders import chunked
from tenfold.recipe import Fit

# Images per batch where nothing is learned: large enough to keep the cores busy, small enough for the cache.
EVALUATION_BATCH = 256
# A GPU gains by fewer and larger steps; so many pixels fit any.
GPU_EVALUATION_PIXELS = 2**21


@dataclass(frozen=True, eq=False)
class Batch:
    """Images (n, C, H, W) uint8, labels (n,) int64, and their positions (n,) in the split, on a device.

    `places` are the positions once more, in the CPU's memory, so that nobody has to wait for a device to tell them.
    `size` is how many images the batch has in the whole world; `mine` are those of these n that are this rank's part
    of it, and `weight` is what each of them counts: less than 1 where all ranks have the same ones.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    places: np.ndarray
    size: int
    mine: slice
    weight: float

    @property
    def share(self) -> float:
        """This rank's part of the batch: what its mean counts among those of all ranks."""
        return len(self.places[self.mine]) * self.weight / self.size


class Feed(ABC):
    """What gives a split's images and labels on a device, for one rank of a world of processes.

    Every rank is given the same global order, and takes its part of each batch: together they take each image once,
    and all of them take the same number of batches. The parts of a batch differ in length by at most one. A batch
    that is smaller than the world goes whole to every rank, where each of its images counts that much less: a
    network cannot be asked about no images.
    """

    def __init__(self, split: Split, device: torch.device, world: World = ALONE) -> None:
        self.split, self.device, self.world = split, device, world
        self.labels = torch.from_numpy(np.asarray(split.labels)).to(device)

    def __len__(self) -> int:
        return len(self.split)

    @abstractmethod
    def check(self, fit: Fit) -> None:
        """Raise InputError, before anything is learned, for what a recipe's `[fit]` asks of it in vain."""

    @abstractmethod
    def order(self, fit: Fit, epoch: int, kept: np.ndarray | None = None) -> list[np.ndarray]:
        """Positions (n,) int64 of each of an epoch's training batches, drawn by (fit.seed, epoch) alone.

        With `kept`, (images,) bool, only those positions take part.
        """

    @abstractmethod
    def pixels(self, positions: Tensor) -> Tensor:
        """Pixels (n, H, W, C) uint8 at `positions` (n,), on the device."""

    @abstractmethod
    def follow(self, parts: Sequence[np.ndarray], placed: Sequence[Tensor]) -> Iterator[Tensor]:
        """The `pixels` of each of `parts`, in turn: a feed may read ahead. `placed` are the same on the device."""

    def take(self, positions: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, C, H, W), uint8 in channels_last memory, and labels (n,) int64 at `positions` (n,)."""
        positions = torch.as_tensor(positions, device=self.device)
        return channels_first(self.pixels(positions)), self.labels[positions]

    def batches(self, order: Sequence[np.ndarray], whole: bool = False) -> Iterator[Batch]:
        """This rank's part of each batch of a global `order` of positions; with `whole`, the others' parts too."""
        shares = [share(len(positions), self.world) for positions in order]
        parts = [
            positions if whole else positions[mine]
            for positions, (mine, _) in zip(order, shares, strict=True)
        ]
        placed = self._placed(parts)
        for full, places, positions, pixels, (mine, weight) in zip(
            order, parts, placed, self.follow(parts, placed), shares, strict=True
        ):
            images, labels = channels_first(pixels), self.labels[positions]
            yield Batch(images, labels, positions, places, len(full), mine if whole else slice(None), weight)

    def in_order(self, batch_size: int | None = None) -> list[np.ndarray]:
        """Positions of all images in batches, first to last; without a size, in one that suits the device."""
        if batch_size is None:
            _, height, width = self.split.image_shape
            batch_size = evaluation_batch(height, width, self.device)
        return chunked(np.arange(len(self)), batch_size)

    def _placed(self, parts: list[np.ndarray]) -> tuple[Tensor, ...]:
        """The positions of each batch, copied to the device at once: a copy for each would stall it."""
        together = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *parts])).to(self.device)
        return together.split([len(positions) for positions in parts])


def share(count: int, world: World) -> tuple[slice, float]:
    """Which of `count` images are a rank's part, and what each of them counts.

    The first ranks' parts are longer by one where need be. All are every rank's part where some would have none.
    """
    if count < world.size:
        return slice(0, count), 1 / world.size
    length, longer = divmod(count, world.size)
    start = world.rank * length + min(world.rank, longer)
    return slice(start, start + length + (world.rank < longer)), 1.0


def evaluation_batch(height: int, width: int, device: torch.device) -> int:
    """How many images of that size suit `device` at once where nothing is learned."""
    beside_cpu = max(EVALUATION_BATCH, GPU_EVALUATION_PIXELS // (height * width))
    return EVALUATION_BATCH if device.type == "cpu" else beside_cpu
