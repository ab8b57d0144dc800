"""What feeds a split's images to a device, and which feed suits it."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tenfold.core.world import ALONE, World
from tenfold.data import Split
from tenfold.data.batches import Feed
from tenfold.data.orders import balanced_order, epoch_order
from tenfold.data.shards.feed import StreamedFeed
from tenfold.data.shards.pixels import ShardPixels
from tenfold.recipe import Fit


class PackedFeed(Feed):
    """All decoded pixels are at hand, in whatever order they are wanted."""

    def check(self, fit: Fit) -> None:
        """Nothing is asked in vain."""

    def order(self, fit: Fit, epoch: int, kept: np.ndarray | None = None) -> list[np.ndarray]:
        """As `epoch_order` or `balanced_order`."""
        if fit.sampler == "balanced":
            return balanced_order(self.split, fit.batch_size, fit.seed, epoch)
        return epoch_order(self.split, fit.batch_size, fit.batches, fit.seed, epoch, kept)

    def follow(self, parts: Sequence[np.ndarray], placed: Sequence[Tensor]) -> Iterator[Tensor]:
        """Gather each part when it is its turn."""
        return map(self.pixels, placed)


class MappedFeed(PackedFeed):
    """Pixels stay in the memory map, and a batch is one gather from it."""

    def pixels(self, positions: Tensor) -> Tensor:
        """Gather from the map."""
        rows = self.split.rows[positions.cpu().numpy()]
        return torch.from_numpy(self.split.pixels[rows]).to(self.device)


class ResidentFeed(PackedFeed):
    """All of the split's pixels are copied to the device once."""

    def __init__(self, split: Split, device: torch.device, world: World = ALONE) -> None:
        super().__init__(split, device, world)
        self._pixels = torch.from_numpy(split.pixels[split.rows]).to(device)

    def pixels(self, positions: Tensor) -> Tensor:
        """Gather on the device."""
        return self._pixels[positions]


def feed(split: Split, device: torch.device, world: World = ALONE) -> Feed:
    """The feed of a split, for a rank of a world of processes.

    Images in shards are streamed; packed ones are mapped on a CPU, and resident on another device.
    """
    if isinstance(split.pixels, ShardPixels):
        return StreamedFeed(split, device, world)
    kind = MappedFeed if device.type == "cpu" else ResidentFeed
    return kind(split, device, world)
