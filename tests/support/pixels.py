"""Pixels to change, as arrays and as the tensors that augmentations take."""

import numpy as np
import torch
from torch import Tensor


def pixels_of(seed: int = 0, low: int = 20, high: int = 220) -> np.ndarray:
    """(H, W, 3) uint8 with some structure, and a range that autocontrast can widen."""
    random = np.random.default_rng(seed).normal(size=(4, 5, 3)).repeat(6, 0).repeat(6, 1)
    random += 0.3 * np.random.default_rng(seed + 1).normal(size=random.shape)
    scaled = (random - random.min()) / (random.max() - random.min())
    return (low + scaled * (high - low)).astype(np.uint8)


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(1, C, H, W) float32 of (H, W, C)."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float()


def to_pixels(images: Tensor) -> np.ndarray:
    """(H, W, C) of the first of (N, C, H, W)."""
    return images[0].permute(1, 2, 0).numpy()
