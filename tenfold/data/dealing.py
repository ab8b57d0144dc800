"""Dealing images to splits or folds, so that each has its share of every class and no unit lies in two of them.

A unit is what must stay together: a group that the user names, else the exact copies of one picture, else one image.
Images that are units of their own are dealt within each class by ranking hashes of their identities. So the draw
depends on nothing but (seed, identity): a new file moves at most one other image of its own class, and never one of
another class.

Larger units are dealt first, the largest of all at the beginning, each to the bin that it fills least (bins are
splits or folds; filled by how much of the classes' quotas there is in it then): the greedy way of scikit-learn's
StratifiedGroupKFold, for bins of unequal shares. Single images then fill what is left.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


def deal(
    labels: np.ndarray, units: np.ndarray, ranks: np.ndarray, quotas: np.ndarray, needy: int | None = None
) -> np.ndarray:
    """The bin of each image: (N,) numbers of rows of `quotas`.

    labels, units, ranks: (N,) the images' classes, what stays together (equal numbers), and the order of the draw;
    quotas: (bins, classes) how many images of each class every bin should get; a class's add up to its images. The
    quotas are kept to the image where each image is a unit of its own. `needy` is the bin that gets an image of each
    class before all others (training).
    """
    units = np.unique(units, return_inverse=True)[1]
    bins = np.full(len(labels), -1, np.int64)
    large = _large_units(labels, units, ranks)
    placed = np.zeros_like(quotas)
    for unit in large:
        after = placed[:, unit.classes] + unit.counts
        filled = (unit.counts * after / np.maximum(quotas[:, unit.classes], 0.5)).sum(1)
        unit.move(int(filled.argmin()), bins, placed)
    _deal_singles(bins, labels, ranks, quotas - placed)
    if large:
        _complete(bins, labels, units, len(quotas), needy)
    return bins


@dataclass(frozen=True)
class _Unit:
    """Images that stay together: their positions, their classes, and how many there are of each class."""

    members: np.ndarray
    classes: np.ndarray
    counts: np.ndarray

    def move(self, chosen: int, bins: np.ndarray, placed: np.ndarray) -> None:
        """Put the unit into the bin `chosen`, keeping count in `placed` (bins, classes)."""
        before = bins[self.members[0]]
        if before >= 0:
            placed[before, self.classes] -= self.counts
        placed[chosen, self.classes] += self.counts
        bins[self.members] = chosen


def _large_units(labels: np.ndarray, units: np.ndarray, ranks: np.ndarray) -> list[_Unit]:
    """The units of several images, largest first, those of one size by the ranks of their first images."""
    sizes = np.bincount(units)
    inside = np.flatnonzero(sizes[units] > 1)
    ordered = inside[np.lexsort((ranks[inside], units[inside]))]
    starts = np.flatnonzero(np.diff(units[ordered], prepend=-1))
    first = ordered[starts]
    order = np.lexsort((ranks[first], -sizes[units[first]]))
    parts = np.split(ordered, starts[1:]) if len(ordered) else []
    return [_unit(parts[place], labels) for place in order.tolist()]


def _unit(members: np.ndarray, labels: np.ndarray) -> _Unit:
    classes, counts = np.unique(labels[members], return_counts=True)
    return _Unit(members, classes, counts)


def _deal_singles(bins: np.ndarray, labels: np.ndarray, ranks: np.ndarray, wanted: np.ndarray) -> None:
    """Deal what is in no bin yet: within a class by rank, so many for each bin in turn as are `wanted` there."""
    single = np.flatnonzero(bins < 0)
    ordered = single[np.lexsort((ranks[single], labels[single]))]
    bounds = np.searchsorted(labels[ordered], np.arange(wanted.shape[1] + 1))
    for label in range(wanted.shape[1]):
        members = ordered[bounds[label] : bounds[label + 1]]
        room = np.maximum(wanted[:, label], 0)
        while room.sum() > len(members):  # a large unit took more than its bin's quota
            room[room.argmax()] -= 1
        bins[members] = np.repeat(np.arange(len(room)), room)


def _complete(bins: np.ndarray, labels: np.ndarray, units: np.ndarray, count: int, needy: int | None) -> None:
    """Give each bin an image of every class, as far as there are units of the class for all of them.

    The smallest unit is taken from the bin with most of the class, where something of each of the unit's classes is
    left; for `needy` it is taken in any case.
    """
    classes = int(labels.max()) + 1
    placed = np.zeros((count, classes), np.int64)
    np.add.at(placed, (bins, labels), 1)
    order = sorted(range(count), key=lambda number: number != needy)
    for label in np.flatnonzero(np.any(placed == 0, axis=0) & np.any(placed > 0, axis=0)).tolist():
        for chosen in order:
            if placed[chosen, label]:
                continue
            for unit in _candidates(label, labels, units, bins, placed):
                giver = bins[unit.members[0]]
                if np.all(placed[giver, unit.classes] > unit.counts) or chosen == needy:
                    unit.move(chosen, bins, placed)
                    break


def _candidates(
    label: int, labels: np.ndarray, units: np.ndarray, bins: np.ndarray, placed: np.ndarray
) -> Iterator[_Unit]:
    """The units with images of a class, from the bins with most of it first, the smallest of each bin first."""
    found = np.unique(units[labels == label])
    sizes = np.bincount(units)
    homes = np.empty(len(sizes), np.int64)
    homes[units] = bins
    order = np.lexsort((found, sizes[found], -placed[homes[found], label]))
    for number in found[order].tolist():
        yield _unit(np.flatnonzero(units == number), labels)


# Quotas ------------------------------------------------------------------------------------------------------


def split_quotas(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """(1 + len(shares), classes) images: the rest first, and each share of a class rounded, but at least one image.

    counts: (classes,) images. Where the shares would leave nothing, the first row is not positive.
    """
    parts = [np.where(counts > 0, np.maximum(1, (counts * share + 0.5).astype(int)), 0) for share in shares]
    return np.stack([counts - np.sum(parts, axis=0, dtype=int), *parts])


def fold_quotas(counts: np.ndarray, folds: int) -> np.ndarray:
    """(folds, classes) images: equal within one for each class, and in all."""
    extra = counts % folds
    first = (np.cumsum(extra) - extra) % folds  # the next fold to get one more goes around
    turn = (np.arange(folds)[:, None] - first) % folds
    return counts // folds + (turn < extra)


def ranks(keys: np.ndarray, seed: int) -> np.ndarray:
    """Mix the identities' hashes with the seed (the finalizer of SplitMix64, Steele et al. 2014)."""
    salt = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    mixed = keys ^ np.frombuffer(salt, np.uint64)[0]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
