"""Geometric augmentations: affine maps that compose into one bilinear resampling, and exact crops.

Maps are written in pixels from the centre of the image, x to the right and y downwards, from an output pixel
to the place where it is read. In these coordinates a rotation or zoom about the centre has no offset. The
places of pixels are their centres, as in Keras and in PyTorch's `align_corners=False`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.augment.base import Areas, Draw, Factor, Geometric, Pixels, Pixelwise, Ratios, per_image, spread
from tenfold.core.errors import InputError
from tenfold.recipe.components import Fraction

_PLACES = {"xx": (0, 0), "xy": (0, 1), "x": (0, 2), "yx": (1, 0), "yy": (1, 1), "y": (1, 2)}


def affine(like: Tensor, **entries: Tensor) -> Tensor:
    """(N, 3, 3) maps (x, y) -> (xx x + xy y + x, yx x + yy y + y) of N = len(like); else the identity."""
    matrix = torch.eye(3, dtype=like.dtype, device=like.device).repeat(len(like), 1, 1)
    for name, values in entries.items():
        matrix[:, *_PLACES[name]] = values
    return matrix


def resample(images: Tensor, matrix: Tensor) -> Tensor:
    """Read `images` (N, C, H, W) bilinearly where `matrix` (N, 3, 3) points.

    Beyond its border an image is continued by its reflection, which repeats the edge pixel (Keras'
    "reflect").
    """
    height, width = images.shape[2:]
    # PyTorch's coordinates run from -1 to 1 over each axis, borders included, and so are scaled per axis.
    scale = matrix.new_tensor([[1, height / width, 2 / width], [width / height, 1, 2 / height]])
    grid = F.affine_grid(matrix[:, :2] * scale, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return moved.clamp_(0, 255)  # the four weights may sum to a rounding error more than one


def rotation(angle: Tensor) -> Tensor:
    """(N, 3, 3) maps that turn by `angle` (N,) radians about the centre."""
    cos, sin = angle.cos(), angle.sin()
    return affine(angle, xx=cos, xy=-sin, yx=sin, yy=cos)


@dataclass(frozen=True, kw_only=True)
class Flip(Geometric):
    """Mirror left and right, and top and bottom, with these probabilities; exact when alone.

    With `alternate` and a probability of one half, what was mirrored in one epoch is not in the next, so that two
    epochs show both sides of every image (airbench, Keller Jordan, arXiv 2404.00498).
    """

    draws: ClassVar[int] = 2
    horizontal: Fraction = 0.5
    vertical: Fraction = 0.0
    alternate: bool = False

    def numbers(self, seed: int, epoch: int, place: int) -> Draw:
        """As of any augmentation; alternating, those of the first epoch, turned by one half at each further one."""
        if not self.alternate:
            return super().numbers(seed, epoch, place)
        first, turn = super().numbers(seed, 1, place), np.float32(epoch % 2 / 2)
        return lambda positions: (first(positions) + turn) % 1

    def matrix(self, u: Tensor, height: int, width: int) -> Tensor:
        """Minus one on the flipped axes."""
        across, down = self._flipped(u)
        return affine(u, xx=1 - 2 * across.to(u.dtype), yy=1 - 2 * down.to(u.dtype))

    def exactly(self, images: Tensor, u: Tensor) -> Tensor:
        """The flipped images without any interpolation."""
        across, down = self._flipped(u)
        if self.horizontal:
            images = torch.where(per_image(across), images.flip(3), images)
        return torch.where(per_image(down), images.flip(2), images) if self.vertical else images

    def _flipped(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return u[:, 0] < self.horizontal, u[:, 1] < self.vertical


@dataclass(frozen=True, kw_only=True)
class Rotation(Geometric):
    """Turn about the centre by up to `factor` of a full turn to either side (Keras' RandomRotation)."""

    factor: Factor = 0.05

    def matrix(self, u: Tensor, height: int, width: int) -> Tensor:
        """The turn's cosines and sines."""
        return rotation(spread(u[:, 0], 2 * math.pi * self.factor))


@dataclass(frozen=True, kw_only=True)
class Zoom(Geometric):
    """Read 1 +- `factor` of both axes alike, about the centre (Keras' RandomZoom with one factor)."""

    factor: Factor = 0.05

    def matrix(self, u: Tensor, height: int, width: int) -> Tensor:
        """The same scale on both axes; above one the image shrinks."""
        scale = 1 + spread(u[:, 0], self.factor)
        return affine(u, xx=scale, yy=scale)


@dataclass(frozen=True, kw_only=True)
class Translation(Geometric):
    """Move by up to `factor` of the width and, independently, of the height (Keras' RandomTranslation)."""

    draws: ClassVar[int] = 2
    factor: Factor = 0.1

    def matrix(self, u: Tensor, height: int, width: int) -> Tensor:
        """Read to the left of where the pixel lands when moving right."""
        return affine(u, x=-spread(u[:, 0], self.factor * width), y=-spread(u[:, 1], self.factor * height))


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(Geometric):
    """Enlarge a random rectangle of the image to its full size (Inception's crop; arXiv 1409.4842).

    `scale` limits the rectangle's share of the area and `ratio` its width / height relative to the image's,
    drawn evenly on a logarithmic scale. A rectangle that is longer than the image is cut to it.
    """

    draws: ClassVar[int] = 4
    scale: Areas = (0.25, 1.0)
    ratio: Ratios = (0.75, 4 / 3)

    def matrix(self, u: Tensor, height: int, width: int) -> Tensor:
        """Scales below one, and an offset that keeps the rectangle inside the image."""
        area = self.scale[0] + u[:, 0] * (self.scale[1] - self.scale[0])
        low, high = (math.log(ratio) for ratio in self.ratio)
        stretch = torch.exp((low + u[:, 1] * (high - low)) / 2)
        across, down = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
        return affine(
            u,
            xx=across,
            yy=down,
            x=spread(u[:, 2], 0.5) * (1 - across) * width,
            y=spread(u[:, 3], 0.5) * (1 - down) * height,
        )


@dataclass(frozen=True, kw_only=True)
class Crop(Pixelwise):
    """Pad by `padding` pixels and cut the image's size out at a random place: whole pixels, so exact.

    Padded with the reflection of the image about its edge pixels, or with zeros.
    """

    draws: ClassVar[int] = 2
    padding: Pixels = 4
    fill: Literal["reflect", "zero"] = "reflect"

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The cut images. Raises InputError where the padding is too wide for a reflection."""
        height, width = images.shape[2:]
        if self.fill == "reflect" and self.padding >= min(height, width):
            raise InputError(
                f"augment.crop.padding={self.padding}: a reflection of {height}x{width} images has at most "
                f"{min(height, width) - 1} pixels. Set a smaller padding, or augment.crop.fill=zero."
            )
        mode = {"reflect": "reflect", "zero": "constant"}[self.fill]
        padded = F.pad(images, (self.padding,) * 4, mode=mode)
        corners = (u * (2 * self.padding + 1)).long()
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        rows = torch.arange(len(images), device=images.device)
        return windows[rows, :, corners[:, 0], corners[:, 1]]
