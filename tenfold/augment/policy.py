"""Policies that give each image operations drawn from one list: TrivialAugment and RandAugment.

Geometric operations fill by reflection and in bilinear interpolation, like the rest of tenfold, where the
papers' code leaves black; contrast is around each channel's mean. At zero strength every operation but
autocontrast and equalize leaves the image as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tenfold.augment.base import Pixelwise, per_image
from tenfold.augment.color import contrasted, saturated
from tenfold.augment.geometry import affine, resample, rotation
from tenfold.recipe.components import Count, Fraction


def identity(images: Tensor, strength: Tensor) -> Tensor:
    """The images."""
    return images


def shear_x(images: Tensor, strength: Tensor) -> Tensor:
    """Shear rows by `strength` (N,) pixels a pixel from the centre."""
    return resample(images, affine(strength, xy=strength))


def shear_y(images: Tensor, strength: Tensor) -> Tensor:
    """Shear columns by `strength` (N,) pixels a pixel from the centre."""
    return resample(images, affine(strength, yx=strength))


def translate_x(images: Tensor, strength: Tensor) -> Tensor:
    """Move right by `strength` (N,) of the width."""
    return resample(images, affine(strength, x=-strength * images.shape[3]))


def translate_y(images: Tensor, strength: Tensor) -> Tensor:
    """Move down by `strength` (N,) of the height."""
    return resample(images, affine(strength, y=-strength * images.shape[2]))


def rotate(images: Tensor, strength: Tensor) -> Tensor:
    """Turn by `strength` (N,) degrees."""
    return resample(images, rotation(torch.deg2rad(strength)))


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """Times 1 + `strength` (N,)."""
    return (images * per_image(1 + strength)).clamp_(0, 255)


def color(images: Tensor, strength: Tensor) -> Tensor:
    """Saturation times 1 + `strength` (N,)."""
    return saturated(images, 1 + strength)


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Contrast times 1 + `strength` (N,)."""
    return contrasted(images, 1 + strength)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Away from (or towards) a smoothed image by `strength` (N,); the border stays, as in Pillow."""
    channels = images.shape[1]
    if min(images.shape[2:]) < 3:
        return images
    kernel = images.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]).div_(13).expand(channels, 1, 3, 3)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels)
    return torch.lerp(smooth, images, per_image(1 + strength)).clamp_(0, 255)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Drop the lowest `strength` (N,) bits, rounded, of the whole-numbered levels."""
    step = per_image(torch.exp2(strength.round()))
    return torch.where(step > 1, (images / step).floor() * step, images)


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Invert the levels above 255 (1 - `strength`)."""
    return torch.where(images > per_image(255 * (1 - strength)), 255 - images, images)


def autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a constant channel stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = (images - low) * (255 / (high - low).clamp(min=1e-6))
    return torch.where(high > low, stretched, images).clamp_(0, 255)


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Make each channel's histogram flat, by Pillow's method; a constant channel stays."""
    levels = images.flatten(2).round().long()
    histogram = torch.zeros(*levels.shape[:2], 256, device=images.device)
    histogram.scatter_add_(2, levels, torch.ones_like(levels, dtype=histogram.dtype))
    last = histogram.gather(2, levels.amax(2, keepdim=True))
    step = ((levels.shape[2] - last) / 255).floor()
    table = (
        ((histogram.cumsum(2) - histogram + (step / 2).floor()) / step.clamp(min=1)).floor().clamp_(0, 255)
    )
    return torch.where(step > 0, table.gather(2, levels), images.flatten(2)).view(images.shape)


class Operation(NamedTuple):
    """An operation with its greatest strength in each policy; `signed` ones go either way."""

    function: Callable[[Tensor, Tensor], Tensor]
    trivial: float
    rand: float
    signed: bool


OPERATIONS = (
    Operation(identity, 0.0, 0.0, False),
    Operation(shear_x, 0.99, 0.3, True),
    Operation(shear_y, 0.99, 0.3, True),
    Operation(translate_x, 0.45, 0.45, True),
    Operation(translate_y, 0.45, 0.45, True),
    Operation(rotate, 135.0, 30.0, True),
    Operation(brightness, 0.99, 0.9, True),
    Operation(color, 0.99, 0.9, True),
    Operation(contrast, 0.99, 0.9, True),
    Operation(sharpness, 0.99, 0.9, True),
    Operation(posterize, 6.0, 4.0, False),
    Operation(solarize, 1.0, 1.0, False),
    Operation(autocontrast, 0.0, 0.0, False),
    Operation(equalize, 0.0, 0.0, False),
)


def apply_chosen(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
    """Apply to each image the operation that `chosen` (N,) numbers, with its own strength (N,)."""
    result = images.clone()
    numbers = chosen.cpu()  # one wait for the device, where a search on it would be one for each operation
    for number, operation in enumerate(OPERATIONS):
        rows = (numbers == number).nonzero()[:, 0].to(images.device)
        if len(rows):
            result[rows] = operation.function(images[rows], strengths[rows])
    return result


def _operation_of(u: Tensor) -> Tensor:
    return (u * len(OPERATIONS)).long()


def _signed(u: Tensor, chosen: Tensor) -> Tensor:
    """-1 or 1 where the chosen operation is signed, else 1."""
    signed = torch.tensor([operation.signed for operation in OPERATIONS], device=u.device)
    return torch.where(signed[chosen] & (u < 0.5), -1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class TrivialAugment(Pixelwise):
    """One operation an image, its strength drawn from 0 to the widest (Müller & Hutter, arXiv 2103.10158).

    The paper's "wide" set; a translation is up to 0.45 of the side, which suits any size, where the paper
    says 32 pixels. `strength` scales all of them.
    """

    draws: ClassVar[int] = 3
    strength: Fraction = 1.0

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images."""
        chosen = _operation_of(u[:, 0])
        widest = u.new_tensor([operation.trivial for operation in OPERATIONS])
        strengths = widest[chosen] * (u[:, 1] * 31).floor() / 30 * _signed(u[:, 2], chosen)
        return apply_chosen(images, chosen, self.strength * strengths)


@dataclass(frozen=True, kw_only=True)
class RandAugment(Pixelwise):
    """`operations` operations an image, all with the same `strength` (Cubuk et al., arXiv 1909.13719).

    `strength` is a share of each operation's greatest: the paper's magnitude 9 of 30 is 0.3.
    """

    operations: Count = 2
    strength: Fraction = 0.3

    @property
    def draws(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Two numbers for each operation."""
        return 2 * self.operations

    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images."""
        greatest = u.new_tensor([operation.rand for operation in OPERATIONS])
        for draw in u.view(len(u), self.operations, 2).unbind(1):
            chosen = _operation_of(draw[:, 0])
            strengths = self.strength * greatest[chosen] * _signed(draw[:, 1], chosen)
            images = apply_chosen(images, chosen, strengths)
        return images
