"""Pixels as a picture that a page shows."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tenfold.serving.picture import png_address


@pytest.mark.parametrize("channels", [1, 3])
def test_an_address_holds_the_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    kind, _, data = png_address(pixels).partition(",")
    assert kind == "data:image/png;base64"
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)
