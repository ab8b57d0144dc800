"""Pixels and images are two orders of the same memory."""

import torch

from tenfold.core.axes import channels_first, channels_last


def test_pixels_become_images_and_back_in_the_same_memory():
    pixels = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    images = channels_first(pixels)
    assert images.shape == (2, 5, 3, 4)
    assert images[1, 4, 2, 3] == pixels[1, 2, 3, 4]
    assert torch.equal(channels_last(images), pixels)
    assert images.data_ptr() == channels_last(images).data_ptr() == pixels.data_ptr()
