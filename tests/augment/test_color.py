"""Changes of color against colorsys."""

import colorsys

import numpy as np
import pytest
import torch
from pixels import pixels_of, to_pixels, to_tensor

from tenfold.augment.color import hue_turned, saturated


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
