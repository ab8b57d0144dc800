"""A recipe's augmentations in their order, with all random numbers of an epoch drawn beforehand."""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.augment.base import Augmentation, Geometric, Mixing, Pixelwise
from tenfold.augment.geometry import Flip, resample

Batch = tuple[Tensor, Tensor]
Stage = Callable[[Tensor, Tensor, list[Tensor]], Batch]


class Pipeline:
    """Augmentations in the recipe's order; `epoch` draws the random numbers and gives the function."""

    def __init__(self, augmentations: Sequence[Augmentation], classes: int) -> None:
        self.augmentations = tuple(augmentations)
        self.classes = classes

    def epoch(
        self, seed: int, epoch: int, count: int, device: "torch.device | str" = "cpu"
    ) -> "EpochAugmentation":
        """The augmentation of one epoch of `count` images.

        The random numbers of an image depend on `seed`, `epoch`, its place in the split and the
        augmentation's place in the recipe, and on nothing else: not on the order of the images, the batches
        or the device.
        """
        columns = [
            augmentation.numbers(seed, epoch, place, count)
            for place, augmentation in enumerate(self.augmentations)
        ]
        numbers = np.concatenate(columns, axis=1) if columns else np.empty((count, 0), np.float32)
        return EpochAugmentation(self, torch.from_numpy(numbers).to(device))


class EpochAugmentation:
    """One epoch's augmentation: (images, labels, positions) -> (images, targets)."""

    def __init__(self, pipeline: Pipeline, numbers: Tensor) -> None:
        self.numbers = numbers
        self.classes = pipeline.classes
        self.mixes = any(isinstance(augmentation, Mixing) for augmentation in pipeline.augmentations)
        self.stages = _stages(pipeline.augmentations)

    def __call__(self, images: Tensor, labels: Tensor, positions: Tensor) -> Batch:
        """Augment a batch; `images` itself is left as it was.

        images: (N, C, H, W) uint8 or float on 0..255; the result is float32 in the same memory format.
        labels: (N,) int64. positions: (N,) int64, the place of each image in the split.
        targets: `labels`, or probabilities (N, classes) float32 when an augmentation mixes images.
        """
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        images, targets = images.float(), labels
        if self.mixes:
            targets = F.one_hot(labels, self.classes).float()
        rows = self.numbers[positions.to(self.numbers.device)]
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
