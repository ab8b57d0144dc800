"""Augmentation: random changes of training images, batched, with random numbers that belong to seed, epoch and image.

To add one, write a frozen dataclass of one of the three kinds in `base.py` and add one line to
`AUGMENTATIONS`; its fields are the options that a recipe's `[[augment]]` can set.
"""

from collections.abc import Sequence

import numpy as np
import torch

from tenfold.augment.base import Augmentation
from tenfold.augment.color import Brightness, Contrast, Cutout, Hue, RandomErasing, Saturation
from tenfold.augment.geometry import Crop, Flip, RandomResizedCrop, Rotation, Translation, Zoom
from tenfold.augment.mix import CutMix, Mixup
from tenfold.augment.pipeline import EpochAugmentation, Pipeline
from tenfold.augment.policy import RandAugment, TrivialAugment
from tenfold.core.axes import channels_first, channels_last
from tenfold.recipe.components import Choice, components

__all__ = ["AUGMENTATIONS", "EpochAugmentation", "Pipeline", "build_augmentations", "picture_augmentations"]

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "flip": Flip,
    "rotation": Rotation,
    "zoom": Zoom,
    "translation": Translation,
    "random_resized_crop": RandomResizedCrop,
    "crop": Crop,
    "contrast": Contrast,
    "brightness": Brightness,
    "saturation": Saturation,
    "hue": Hue,
    "cutout": Cutout,
    "random_erasing": RandomErasing,
    "mixup": Mixup,
    "cutmix": CutMix,
    "trivial_augment": TrivialAugment,
    "rand_augment": RandAugment,
}


def build_augmentations(choices: Sequence[Choice], classes: int) -> Pipeline:
    """The pipeline that a recipe's `[[augment]]` tables name, in their order."""
    return Pipeline([components("augment")[choice.name](**choice.options) for choice in choices], classes)


def picture_augmentations(
    choices: Sequence[Choice], pixels: np.ndarray, seed: int = 0
) -> list[tuple[str, np.ndarray]]:
    """Before and after: (title, pictures) of the originals, of each augmentation alone, and of all together.

    `pixels` and the pictures are (n, H, W, C) uint8; picture i of every entry shows image i.
    """
    rows = [("original", pixels)]
    rows += [(_title(choice), _augmented([choice], pixels, seed)) for choice in choices]
    return [*rows, ("all together", _augmented(choices, pixels, seed))] if len(choices) > 1 else rows


def _augmented(choices: Sequence[Choice], pixels: np.ndarray, seed: int) -> np.ndarray:
    positions = torch.arange(len(pixels))
    images = channels_first(torch.from_numpy(np.ascontiguousarray(pixels)))
    augment = build_augmentations(choices, classes=len(pixels)).epoch(seed, 0)
    images, _ = augment(images, positions, positions)
    return channels_last(images.round().clamp(0, 255).byte()).contiguous().numpy()


def _title(choice: Choice) -> str:
    return " ".join([choice.name, *(f"{name}={_short(value)}" for name, value in choice.options.items())])


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return "..".join(map(_short, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
