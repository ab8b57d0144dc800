"""The feed of images that are streamed from shards."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tenfold.core.errors import InputError
from tenfold.core.world import ALONE, World
from tenfold.data import Split
from tenfold.data.batches import Feed
from tenfold.data.shards.order import shard_order
from tenfold.data.shards.pixels import ShardPixels
from tenfold.recipe import Fit


class StreamedFeed(Feed):
    """Images are read from their shards and decoded while the model learns from those before them."""

    def __init__(self, split: Split, device: torch.device, world: World = ALONE) -> None:
        super().__init__(split, device, world)
        assert isinstance(split.pixels, ShardPixels)
        self._images = split.pixels

    def check(self, fit: Fit) -> None:
        """Raise InputError for orders that would need all shards at once."""
        if fit.sampler == "balanced":
            raise InputError(
                'fit.sampler="balanced" draws images of small classes again and again, from all shards at once, '
                'which cannot be streamed. Use fit.class_weights="balanced", or data.streaming=false where the '
                "decoded images fit."
            )
        if fit.batches == "folder":
            raise InputError(
                'fit.batches="folder" takes each batch from one folder of the source, but shards mix them. Use '
                'fit.batches="split", or train on the source that was packed.'
            )

    def order(self, fit: Fit, epoch: int, kept: np.ndarray | None = None) -> list[np.ndarray]:
        """As `shard_order`."""
        return shard_order(self._bounds(), fit.batch_size, self._images.buffer, fit.seed, epoch, kept)

    def pixels(self, positions: Tensor) -> Tensor:
        """Decode them."""
        rows = self.split.rows[positions.cpu().numpy()]
        return torch.from_numpy(self._images[rows]).to(self.device)

    def follow(self, parts: Sequence[np.ndarray], placed: Sequence[Tensor]) -> Iterator[Tensor]:
        """Decode each part while those before it are used."""
        for pixels in self._images.stream([self.split.rows[part] for part in parts]):
            yield torch.from_numpy(pixels).to(self.device)

    def _bounds(self) -> np.ndarray:
        """Where each shard's images begin among the positions of the split, and their number; shards without any
        are left out."""
        rows = self.split.rows
        if np.any(np.diff(rows) <= 0):
            raise AssertionError("the positions of a split follow its rows")
        return np.unique(np.searchsorted(rows, self._images.index.starts))
