"""Changes of color against colorsys."""

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor

from tenfold.augment.color import hue_turned, saturated


def pixels_of(seed: int = 0, low: int = 20, high: int = 220) -> np.ndarray:
    """(H, W, 3) uint8 with some structure, and a range that autocontrast can widen."""
    random = np.random.default_rng(seed).normal(size=(4, 5, 3)).repeat(6, 0).repeat(6, 1)
    random += 0.3 * np.random.default_rng(seed + 1).normal(size=random.shape)
    scaled = (random - random.min()) / (random.max() - random.min())
    return (low + scaled * (high - low)).astype(np.uint8)


def to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float()


def to_pixels(images: Tensor) -> np.ndarray:
    return images[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("turn", [-0.4, 0.0, 0.1, 0.5])
def test_hue_is_turned_as_in_hsv(turn):
    pixels = pixels_of()
    expected = np.empty(pixels.shape)
    for place in np.ndindex(pixels.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[place] / 255))
        expected[place] = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    result = to_pixels(hue_turned(to_tensor(pixels), torch.tensor([turn])))
    np.testing.assert_allclose(result, 255 * expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("function", [hue_turned, saturated])
def test_gray_stays_gray(function):
    gray = torch.randint(0, 256, (2, 1, 6, 6)).float()
    strength = torch.tensor([0.3, 1.7])
    assert torch.equal(function(gray, strength), gray)
    of_three = gray.expand(2, 3, 6, 6).contiguous()
    torch.testing.assert_close(function(of_three, strength), of_three, rtol=0, atol=1e-3)
