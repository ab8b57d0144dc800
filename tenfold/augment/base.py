"""The three kinds of augmentation, and what their random numbers are.

Every augmentation is a frozen dataclass whose keyword-only fields are what a recipe can set. It is a function
of the images and of `u`, (N, draws) numbers uniform in [0, 1): one row for each image, so that an image's
change depends on its own row only. Images are float32 (N, C, H, W) on 0..255 and are never changed in place.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, Field
from torch import Tensor

from tenfold.core.randomness import Rows, seed_for
from tenfold.recipe.components import Fraction

# From places in the split (n,) to their random numbers (n, draws), float32.
Draw = Callable[[np.ndarray], np.ndarray]
# Half the width of a range around "no change"; at 1, contrast, brightness and zoom reach their ends.
Factor = Fraction
Pixels = Annotated[int, Field(ge=0)]
Level = Annotated[float, Field(ge=0, le=255)]


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit {limits[0]} is above the upper one {limits[1]}; swap them")
    return limits


Area = Annotated[float, Field(gt=0, le=1)]
Areas = Annotated[tuple[Area, Area], AfterValidator(_ordered)]
Ratio = Annotated[float, Field(gt=0)]
Ratios = Annotated[tuple[Ratio, Ratio], AfterValidator(_ordered)]


@dataclass(frozen=True, kw_only=True)
class Augmentation(ABC):  # noqa: B024 - its kinds below say what is abstract
    """Common to all kinds: `draws` says how many random numbers one image needs."""

    draws: ClassVar[int] = 1

    def numbers(self, seed: int, epoch: int, place: int) -> Draw:
        """What draws an image's numbers for an epoch, at this `place` in the recipe: uniform in [0, 1)."""
        return Rows(seed_for(seed, "augment", epoch, place), self.draws)


class Geometric(Augmentation):
    """Moves pixels by an affine map; consecutive ones are composed, and the images resampled once."""

    @abstractmethod
    def matrix(self, u: Tensor, height: int, width: int) -> Tensor:
        """(N, 3, 3): where each output pixel is read, (x, y, 1) in pixels from the centre of the image."""


class Pixelwise(Augmentation):
    """Changes images one by one."""

    @abstractmethod
    def apply(self, images: Tensor, u: Tensor) -> Tensor:
        """The changed images, same shape."""


class Mixing(Augmentation):
    """Mixes each image, and its target, with the next one of the batch (the last with the first).

    How much is mixed belongs to the image (its row of `u`); what is mixed in, to the batch.
    """

    @abstractmethod
    def mix(self, images: Tensor, targets: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images and their targets (N, classes), whose rows still sum to one."""


def spread(u: Tensor, factor: float) -> Tensor:
    """Uniform in [0, 1) to uniform in [-factor, factor)."""
    return (2 * u - 1) * factor


def per_image(values: Tensor) -> Tensor:
    """(N,) to (N, 1, 1, 1), to combine with images."""
    return values.view(-1, 1, 1, 1)
