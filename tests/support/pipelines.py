"""Small batches, and pipelines by their augmentations' names."""

import numpy as np
import torch

from tenfold.augment import build_augmentations
from tenfold.augment.pipeline import Pipeline
from tenfold.recipe.components import Choice

CLASSES = 5


def images_of(
    count: int, channels: int = 3, height: int = 12, width: int = 16, seed: int = 0
) -> torch.Tensor:
    """Random uint8 images (N, C, H, W), as the data give them: channels last in memory."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def pipeline_of(*names: str, **options: object) -> Pipeline:
    return build_augmentations([Choice(name=name, **options) for name in names], CLASSES)


def run(pipeline: Pipeline, images: torch.Tensor, seed: int = 0, epoch: int = 0):
    positions = torch.arange(len(images))
    return pipeline.epoch(seed, epoch)(images, positions % CLASSES, positions)
