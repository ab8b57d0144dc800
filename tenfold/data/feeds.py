"""Whole batches from a split's uint8 pixels, and the order in which an epoch takes them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from tenfold.core.axes import channels_first
from tenfold.core.randomness import seed_for
from tenfold.core.world import ALONE, World
from tenfold.data import Split

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
    def pixels(self, positions: Tensor) -> Tensor:
        """Pixels (n, H, W, C) uint8 at `positions` (n,), on the device."""

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
        for full, places, positions, (mine, weight) in zip(
            order, parts, self._placed(parts), shares, strict=True
        ):
            images, labels = self.take(positions)
            yield Batch(images, labels, positions, places, len(full), mine if whole else slice(None), weight)

    def in_order(self, batch_size: int | None = None) -> list[np.ndarray]:
        """Positions of all images in batches, first to last; without a size, in one that suits the device."""
        if batch_size is None:
            height, width = self.split.pixels.shape[1:3]
            batch_size = evaluation_batch(height, width, self.device)
        return _chunks(np.arange(len(self)), batch_size)

    def _placed(self, parts: list[np.ndarray]) -> tuple[Tensor, ...]:
        """The positions of each batch, copied to the device at once: a copy for each would stall it."""
        together = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *parts])).to(self.device)
        return together.split([len(positions) for positions in parts])


class MappedFeed(Feed):
    """Pixels stay in the memory map, and a batch is one gather from it."""

    def pixels(self, positions: Tensor) -> Tensor:
        """Gather from the map."""
        rows = self.split.rows[positions.cpu().numpy()]
        return torch.from_numpy(self.split.pixels[rows]).to(self.device)


class ResidentFeed(Feed):
    """All of the split's pixels are copied to the device once."""

    def __init__(self, split: Split, device: torch.device, world: World = ALONE) -> None:
        super().__init__(split, device, world)
        self._pixels = torch.from_numpy(split.pixels[split.rows]).to(device)

    def pixels(self, positions: Tensor) -> Tensor:
        """Gather on the device."""
        return self._pixels[positions]


def feed(split: Split, device: torch.device, world: World = ALONE) -> Feed:
    """The feed that suits a device: mapped on a CPU, resident on another, for a rank of a world of processes."""
    kind = MappedFeed if device.type == "cpu" else ResidentFeed
    return kind(split, device, world)


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


def balanced_order(split: Split, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """As `epoch_order`, with as many images of every class: those of a small one several times.

    Every image of a class is drawn before any is drawn again.
    """
    generator = np.random.default_rng(seed_for(seed, "order", epoch))
    classes = np.unique(split.labels)
    quotas = np.full(len(classes), len(split) // len(classes))
    quotas[generator.permutation(len(classes))[: len(split) % len(classes)]] += 1
    drawn = []
    for label, quota in zip(classes.tolist(), quotas.tolist(), strict=True):
        members = np.flatnonzero(split.labels == label)
        rounds = [generator.permutation(members) for _ in range(-(-quota // len(members)))]
        drawn.append(np.concatenate(rounds)[:quota])
    return _chunks(generator.permutation(np.concatenate(drawn)), batch_size)


def hardest(losses: np.ndarray, share: float, seed: int, epoch: int) -> np.ndarray:
    """Which images (n,) bool are the `share` of largest `losses` (n,); a tie is broken by (seed, epoch)."""
    count = max(1, round(share * len(losses)))
    order = np.random.default_rng(seed_for(seed, "hardest", epoch)).permutation(len(losses))
    kept = np.zeros(len(losses), bool)
    kept[order[np.argsort(-losses[order], kind="stable")[:count]]] = True
    return kept


def _chunks(positions: np.ndarray, size: int) -> list[np.ndarray]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]
