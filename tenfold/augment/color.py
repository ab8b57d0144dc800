"""Augmentations of color, and of covering a part of the image. One channel has no saturation and no hue."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from tenfold.augment.base import Areas, Factor, Level, Pixelwise, Ratios, per_image, spread
from tenfold.recipe.components import Fraction

# Rec. 601 luma, as in Pillow and torchvision.
_LUMA = (0.299, 0.587, 0.114)


def contrasted(images: Tensor, factor: Tensor) -> Tensor:
    """Scale by `factor` (N,) around each image's own mean of each channel, and clip."""
    return torch.lerp(images.mean((2, 3), keepdim=True), images, per_image(factor)).clamp_(0, 255)


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Scale by `factor` (N,) around the luma of each pixel, and clip; one channel stays as it is."""
    if images.shape[1] != 3:
        return images
    luma = torch.einsum("nchw,c->nhw", images, images.new_tensor(_LUMA))[:, None]
    return torch.lerp(luma, images, per_image(factor)).clamp_(0, 255)


def hue_turned(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of HSV by `turn` (N,) of the full circle; one channel stays as it is."""
    if images.shape[1] != 3:
        return images
    value, strongest = images.max(1)
    chroma = value - images.amin(1)
    red, green, blue = images.unbind(1)
    differences = torch.stack([green - blue, blue - red, red - green], 1)
    # Sixths of the circle; grey has no hue, and any does, as its chroma is zero.
    offset = differences.gather(1, strongest[:, None])[:, 0] / chroma.clamp(min=1e-6)
    hue = 2 * strongest + offset + 6 * turn.view(-1, 1, 1)
    # A channel is `value` within a sixth of its own hue, `value - chroma` beyond two sixths, linear between.
    distance = (hue[:, None] + hue.new_tensor([5, 3, 1]).view(1, 3, 1, 1)) % 6
    fall = torch.minimum(distance, 4 - distance).clamp_(0, 1)
    return value[:, None] - chroma[:, None] * fall


def cover(images: Tensor, boxes: Tensor, value: float) -> Tensor:
    """Set the pixels whose centres lie in `boxes` (N, 4) (left, top, right, bottom in pixels) to `value`."""
    return torch.where(inside(images, boxes), value, images)


def inside(images: Tensor, boxes: Tensor) -> Tensor:
    """(N, 1, H, W) bool: the pixels of `images` whose centres lie in `boxes` (N, 4)."""
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    left, top, right, bottom = boxes.view(-1, 4, 1, 1, 1).unbind(1)
    return (left <= x) & (x < right) & (top <= y) & (y < bottom)


def centred_boxes(x: Tensor, y: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """(N, 4) boxes of these sizes around (x, y), all (N,), on whole pixels; they may cross the border."""
    left, top = (x - width / 2).round(), (y - height / 2).round()
    return torch.stack([left, top, left + width, top + height], 1)


@dataclass(frozen=True, kw_only=True)
class Contrast(Pixelwise):
    """Contrast times 1 +- `factor` around each channel's own mean, clipped (Keras' RandomContrast).

    As in Keras 2.15 and in all of Keras' documentation; Keras 3.15 draws from 1 to 1 + `factor` only.
    """

    factor: Factor = 0.05

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images."""
        return contrasted(images, 1 + spread(u[:, 0], self.factor))


@dataclass(frozen=True, kw_only=True)
class Brightness(Pixelwise):
    """Add within +- `factor` of the range 0..255 to all pixels, clipped (Keras' RandomBrightness)."""

    factor: Factor = 0.05

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images."""
        return (images + per_image(spread(u[:, 0], 255 * self.factor))).clamp_(0, 255)


@dataclass(frozen=True, kw_only=True)
class Saturation(Pixelwise):
    """Saturation times 1 +- `factor` around the luma of each pixel, clipped."""

    factor: Factor = 0.2

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images."""
        return saturated(images, 1 + spread(u[:, 0], self.factor))


@dataclass(frozen=True, kw_only=True)
class Hue(Pixelwise):
    """Turn the hue by up to `factor` of the color circle to either side; 0.5 reaches every hue."""

    factor: Annotated[float, Field(ge=0, le=0.5)] = 0.05

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images."""
        return hue_turned(images, spread(u[:, 0], self.factor))


@dataclass(frozen=True, kw_only=True)
class Cutout(Pixelwise):
    """Cover a square whose centre is anywhere in the image (DeVries & Taylor, arXiv 1708.04552).

    `size` is its side as a share of the image's shorter one; `fill` is the level that covers.
    """

    draws: ClassVar[int] = 2
    size: Fraction = 0.25
    fill: Level = 127.5

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The images with their square covered."""
        height, width = images.shape[2:]
        side = torch.full_like(u[:, 0], round(self.size * min(height, width)))
        return cover(images, centred_boxes(u[:, 0] * width, u[:, 1] * height, side, side), self.fill)


@dataclass(frozen=True, kw_only=True)
class RandomErasing(Pixelwise):
    """Cover a rectangle, inside the image, with this probability (Zhong et al., arXiv 1708.04896).

    `scale` limits its share of the area and `ratio` its width / height, drawn evenly on a logarithmic scale;
    a side longer than the image is cut to it.
    """

    draws: ClassVar[int] = 5
    probability: Fraction = 0.5
    scale: Areas = (0.02, 0.33)
    ratio: Ratios = (0.3, 3.3)
    fill: Level = 127.5

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The images, some with a rectangle covered."""
        height, width = images.shape[2:]
        erased = (u[:, 0] < self.probability).to(u.dtype)
        area = (self.scale[0] + u[:, 1] * (self.scale[1] - self.scale[0])) * height * width * erased
        low, high = (math.log(ratio) for ratio in self.ratio)
        ratio = torch.exp(low + u[:, 2] * (high - low))
        across = (area * ratio).sqrt().round().clamp(max=width)
        down = (area / ratio).sqrt().round().clamp(max=height)
        left, top = ((width - across + 1) * u[:, 3]).floor(), ((height - down + 1) * u[:, 4]).floor()
        return cover(images, torch.stack([left, top, left + across, top + down], 1), self.fill)
