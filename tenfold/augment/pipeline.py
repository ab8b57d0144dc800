"""A recipe's augmentations in their order, with random numbers that belong to (seed, epoch, image)."""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.augment.base import Augmentation, Draw, Geometric, Mixing, Pixelwise
from tenfold.augment.geometry import Flip, resample

Batch = tuple[Tensor, Tensor]
Stage = Callable[[Tensor, Tensor, list[Tensor]], Batch]


class Pipeline:
    """Augmentations in the recipe's order; `epoch` gives the function."""

    def __init__(self, augmentations: Sequence[Augmentation], classes: int) -> None:
        self.augmentations = tuple(augmentations)
        self.classes = classes

    def epoch(self, seed: int, epoch: int) -> "EpochAugmentation":
        """The augmentation of one epoch.

        The random numbers of an image depend on `seed`, `epoch`, its place in the split and the
        augmentation's place in the recipe, and on nothing else: not on the order of the images, the batches
        or the device.
        """
        places = enumerate(self.augmentations)
        return EpochAugmentation(self, [one.numbers(seed, epoch, place) for place, one in places])


class EpochAugmentation:
    """One epoch's augmentation: (images, labels, positions) -> (images, targets)."""

    def __init__(self, pipeline: Pipeline, draws: Sequence[Draw]) -> None:
        self.draws = draws
        self.classes = pipeline.classes
        self.mixes = any(isinstance(augmentation, Mixing) for augmentation in pipeline.augmentations)
        self.stages = _stages(pipeline.augmentations)

    def numbers(self, positions: np.ndarray) -> np.ndarray:
        """The random numbers (n, draws) of the images at `positions` (n,), drawn when they are needed."""
        columns = [draw(positions) for draw in self.draws]
        return np.concatenate([np.empty((len(positions), 0), np.float32), *columns], axis=1)

    def __call__(self, images: Tensor, labels: Tensor, positions: "np.ndarray | Tensor") -> Batch:
        """Augment a batch; `images` itself is left as it was.

        images: (N, C, H, W) uint8 or float on 0..255; the result is float32 in the same memory format.
        labels: (N,) int64. positions: (N,) int64 in the CPU's memory, the place of each image in the split.
        targets: `labels`, or probabilities (N, classes) float32 when an augmentation mixes images.
        """
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        images, targets = images.float(), labels
        if self.mixes:
            targets = F.one_hot(labels, self.classes).float()
        rows = torch.from_numpy(self.numbers(np.asarray(positions))).to(images.device, non_blocking=True)
        for draws, stage in self.stages:
            mine, rows = rows.split([sum(draws), rows.shape[1] - sum(draws)], dim=1)
            images, targets = stage(images, targets, list(mine.split(draws, dim=1)))
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return images.contiguous(memory_format=layout), targets


def _stages(augmentations: Sequence[Augmentation]) -> list[tuple[list[int], Stage]]:
    """The functions to call in turn, each with the counts of its random numbers; geometric ones joined."""
    stages: list[tuple[list[int], Stage]] = []
    for geometric, group in groupby(
        augmentations, key=lambda augmentation: isinstance(augmentation, Geometric)
    ):
        members = list(group)
        for part in [members] if geometric else [[member] for member in members]:
            stages.append(([member.draws for member in part], _stage(part)))
    return stages


def _stage(members: list[Augmentation]) -> Stage:
    """One function for `members`: any number of geometric augmentations, or one of another kind."""
    first = members[0]
    if isinstance(first, Pixelwise):
        return lambda images, targets, numbers: (first.apply(images, numbers[0]), targets)
    if isinstance(first, Mixing):
        return lambda images, targets, numbers: first.mix(images, targets, numbers[0])
    flips = [member for member in members if isinstance(member, Flip)]
    if len(flips) == len(members):
        return lambda images, targets, numbers: (_flip(flips, images, numbers), targets)
    geometric = [member for member in members if isinstance(member, Geometric)]
    return lambda images, targets, numbers: (_move(geometric, images, numbers), targets)


def _flip(members: list[Flip], images: Tensor, numbers: list[Tensor]) -> Tensor:
    for member, u in zip(members, numbers, strict=True):
        images = member.exactly(images, u)
    return images


def _move(members: list[Geometric], images: Tensor, numbers: list[Tensor]) -> Tensor:
    """Resample once by the product of all maps: the last one is the first to say where a pixel is read."""
    height, width = images.shape[2:]
    matrices = [member.matrix(u, height, width) for member, u in zip(members, numbers, strict=True)]
    product = matrices[0]
    for matrix in matrices[1:]:
        product = product @ matrix
    return resample(images, product)
