"""The images of one split."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tenfold.data.names import taken

if TYPE_CHECKING:
    from tenfold.data.shards.pixels import ShardPixels


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split: `pixels[rows]`, with `labels` into the class names and one path for each.

    pixels: (rows of the whole source, H, W, C) uint8, memory-mapped or in shards, shared by the splits; rows, labels:
    (N,) int64; folders: how many of the N images came from each folder of the split, in order; fingerprint: a hash
    of identities, labels and image contents; pictures: (N,) uint64 hashes of the decoded pixels at full size.

    groups: (N,) int64 numbers of the groups that `data.group` names, -1 for none, or empty where it names none;
    clusters: (N,) int64 numbers of the pictures of which the source has several copies, -1 for others, or empty where
    none were looked for.
    """

    name: str
    pixels: "np.ndarray | ShardPixels"
    rows: np.ndarray
    labels: np.ndarray
    paths: Sequence[str]
    folders: tuple[int, ...]
    fingerprint: str
    pictures: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    groups: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    clusters: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, positions: np.ndarray | slice) -> np.ndarray:
        """The images at `positions` of this split: (n, H, W, C) uint8."""
        return self.pixels[self.rows[positions]]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        height, width, channels = self.pixels.shape[1:]
        return channels, height, width

    @property
    def evidence(self) -> np.ndarray:
        """(N,) numbers of the images that are one piece of evidence, -1 for one alone: groups, or else copies.

        Empty where every image is evidence of its own.
        """
        several = self.clusters[self.clusters >= 0]
        if len(self.groups) or len(several) == len(np.unique(several)):
            return self.groups
        return self.clusters

    def places_of(self, part: "Split") -> np.ndarray:
        """The positions (n,) in this split of the images of `part`, which are all in it."""
        order = np.argsort(self.rows)
        return order[np.searchsorted(self.rows, part.rows, sorter=order)]

    def part(self, positions: np.ndarray) -> "Split":
        """The images at `positions` (n,) as a split of its own, seen as one folder."""
        paths = taken(self.paths, positions)
        rows, labels = self.rows[positions], self.labels[positions]
        pictures = self.pictures[positions]
        kept = {"groups": chosen_of(self.groups, positions), "clusters": chosen_of(self.clusters, positions)}
        folders = (len(positions),)
        return replace(
            self, rows=rows, labels=labels, paths=paths, folders=folders, pictures=pictures, **kept
        )


def chosen_of(numbers: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The numbers of the `chosen` images, where there are any."""
    return numbers[chosen] if len(numbers) else numbers
