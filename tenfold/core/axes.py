"""The one place where the axes of images change their order: pixels on disk and in files, images for a network."""

from torch import Tensor


def channels_first(pixels: Tensor) -> Tensor:
    """Pixels (n, H, W, C) as images (n, C, H, W), in the same memory."""
    return pixels.permute(0, 3, 1, 2)


def channels_last(images: Tensor) -> Tensor:
    """Images (n, C, H, W) as pixels (n, H, W, C), in the same memory."""
    return images.permute(0, 2, 3, 1)
