"""Changed copies of a picture, as people and augmentation make them."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance

Change = Callable[[np.ndarray], np.ndarray]
_SMOOTH = Image.Resampling.BICUBIC


def _by(change: Callable[[Image.Image], Image.Image]) -> Change:
    def changed(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(change(Image.fromarray(pixels.squeeze()))).reshape(pixels.shape)

    return changed


def _compressed(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=75)
    return Image.open(stream)


def _resampled(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 5 // 8, image.height * 5 // 8), _SMOOTH).resize(image.size, _SMOOTH)


def _cropped(image: Image.Image) -> Image.Image:
    return image.resize(image.size, _SMOOTH, box=(image.width * 0.1, 0, image.width, image.height * 0.9))


def _noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(int(pixels.sum())).normal(0, 8, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def jittered(pixels: np.ndarray, seed: int) -> np.ndarray:
    """A frame of a camera that is held by hand: shifted by a pixel at most, another brightness, noise."""
    generator = np.random.default_rng(seed)
    shifted = np.roll(pixels, generator.integers(-1, 2, 2), (0, 1)) * generator.uniform(0.9, 1.1)
    return np.clip(shifted + generator.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "brightened by 30 %": _by(lambda image: ImageEnhance.Brightness(image).enhance(1.3)),
    "darkened by 40 %": _by(lambda image: ImageEnhance.Brightness(image).enhance(0.6)),
    "less contrast": _by(lambda image: ImageEnhance.Contrast(image).enhance(0.6)),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "rotated by 5 degrees": _by(lambda image: image.rotate(5, Image.Resampling.BILINEAR)),
    "rotated by 10 degrees": _by(lambda image: image.rotate(-10, Image.Resampling.BILINEAR)),
    "mirrored, rotated by 5": _by(lambda image: image.transpose(0).rotate(5, Image.Resampling.BILINEAR)),
    "shifted by 1 and 2 of 32": lambda pixels: np.roll(
        pixels, (pixels.shape[0] // 16, -pixels.shape[1] // 32), (0, 1)
    ),
    "JPEG of quality 75": _by(_compressed),
    "resampled to 5/8 and back": _by(_resampled),
    "noise of 8 gray levels": _noisy,
    "cropped by a tenth": _by(_cropped),
}
