"""Augmentations that mix images and their targets in pairs."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tenfold.augment.base import Mixing, per_image
from tenfold.augment.color import centred_boxes, inside
from tenfold.recipe.components import Fraction, Positive


def symmetric_beta(u: Tensor, alpha: float) -> Tensor:
    """Two uniform numbers (N, 2) to one (N,) of the Beta(alpha, alpha) distribution.

    Ulrich's polar method in the form of Devroye, "Random variate generation in one line of code" (1996),
    which rejects nothing: so the same number of draws serves every image.
    """
    cosine = torch.cos(2 * math.pi * u[:, 1])
    odds = ((1 - u[:, 0]) ** (-1 / alpha) - 1) * cosine.square()
    return (1 + cosine.sign() * (odds / (1 + odds)).sqrt()) / 2


@dataclass(frozen=True, kw_only=True)
class Mixup(Mixing):
    """Average image pairs and targets, weighted by Beta(alpha, alpha) (Zhang et al., arXiv 1710.09412)."""

    draws: ClassVar[int] = 3
    alpha: Positive = 0.2
    probability: Fraction = 1.0

    def mix(self, images: Tensor, targets: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted images and targets."""
        share = symmetric_beta(u[:, 1:3], self.alpha)
        share = torch.where(u[:, 0] < self.probability, share, torch.ones_like(share))
        mixed = torch.lerp(images.roll(-1, 0), images, per_image(share))
        return mixed, torch.lerp(targets.roll(-1, 0), targets, share[:, None])


@dataclass(frozen=True, kw_only=True)
class CutMix(Mixing):
    """Paste a rectangle of the next image; targets by area (Yun et al., arXiv 1905.04899).

    The rectangle has the image's proportions and 1 - Beta(alpha, alpha) of its area, is centred anywhere and
    cut at the border; the targets follow the area that is really pasted.
    """

    draws: ClassVar[int] = 5
    alpha: Positive = 1.0
    probability: Fraction = 1.0

    def mix(self, images: Tensor, targets: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Images with a pasted rectangle, and targets weighted by its area."""
        height, width = images.shape[2:]
        side = (1 - symmetric_beta(u[:, 1:3], self.alpha)).sqrt() * (u[:, 0] < self.probability)
        boxes = centred_boxes(
            u[:, 3] * width, u[:, 4] * height, (side * width).round(), (side * height).round()
        )
        pasted = inside(images, boxes)
        share = 1 - pasted.to(images.dtype).mean((1, 2, 3))
        mixed = torch.where(pasted, images.roll(-1, 0), images)
        return mixed, torch.lerp(targets.roll(-1, 0), targets, share[:, None])
