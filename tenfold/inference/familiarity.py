"""Which pictures are unlike the training images: by how sure the model is of anything, and by plain pixel statistics.

The two see different things. A network sees what it was trained to tell apart, and may be sure of a texture or of a
flat colour; statistics of pixels see those, and no object. docs/results.md has how they were chosen and how well they
do. PyTorch is not needed.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

# Rows and columns of an image that are looked at, and the distances between pixels that are compared.
LINES, DISTANCES = 16, (1, 2, 4)


@dataclass(frozen=True)
class Familiarity:
    """What the training images are like, so that a picture unlike them can be told.

    `centre` (S,) and `whitening` (S, S): of the `pixel_statistics` of training images and harmless changes of them;
    the squared length of `(statistics - centre) @ whitening` is an image's Mahalanobis distance. `energy`,
    `distance`: the median of the training images' free energies (Liu et al., 2020) and of these distances, and how
    far above it their 95th percentile lies.
    A picture is "unlike" where one of its two, counted in these units above the median, exceeds `threshold`;
    `false_alarms` is the share of validation images for which that happens, of `validation_images`.
    """

    training_images: int
    validation_images: int
    centre: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    energy: tuple[float, float]
    distance: tuple[float, float]
    threshold: float
    false_alarms: float

    def unlike(self, logits: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Which pictures (n,) bool are unlike the training images, by logits (n, K) and pixels (n, H, W, C) uint8."""
        return self.strangeness(Seen(logits, pixel_statistics(pixels))) > self.threshold

    def strangeness(self, seen: "Seen") -> np.ndarray:
        """How unlike (n,) the training images each picture is; about nine in ten of those have less than 1."""
        centred = seen.statistics - np.asarray(self.centre)
        distances = np.square(centred @ np.asarray(self.whitening)).sum(1)
        return np.maximum(_above(free_energy(seen.logits), self.energy), _above(distances, self.distance))


@dataclass(frozen=True)
class Seen:
    """What decides of n pictures whether they are unlike others: logits (n, K), `pixel_statistics` (n, S)."""

    logits: np.ndarray
    statistics: np.ndarray


def _above(values: np.ndarray, known: tuple[float, float]) -> np.ndarray:
    middle, spread = known
    return (values - middle) / spread


def free_energy(logits: np.ndarray) -> np.ndarray:
    """-log(sum(exp(logits))) (n,): high where no class of the (n, K) speaks for itself."""
    return -np.logaddexp.reduce(logits.astype(np.float64), axis=1)


def pixel_statistics(pixels: np.ndarray) -> np.ndarray:
    """What `pixels` (n, H, W, C) uint8 are like, whatever they show: (n, S) float64.

    Mean and deviation of each channel, and the mean difference in brightness between pixels 1, 2 and 4 apart, along
    rows and columns: in noise as large between neighbours as afar, in a flat colour none. Of large images, some rows
    and columns. All but the means are on a logarithmic scale.
    """
    count, height, width, channels = pixels.shape
    down, across = max(1, height // LINES), max(1, width // LINES)
    coarse = np.moveaxis(pixels[:, ::down, ::across], 3, 1)
    values = coarse.reshape(count, channels, coarse.shape[2] * coarse.shape[3]).astype(np.float32)
    means = values.mean(2)
    values -= means[..., None]
    found = [means, np.log1p(np.sqrt(np.einsum("ncp,ncp->nc", values, values) / values.shape[2]))]
    rows, columns = _brightness(pixels[:, ::down]), _brightness(pixels[:, :, ::across]).swapaxes(1, 2)
    for lines in (rows, np.ascontiguousarray(columns)):
        for apart in DISTANCES:
            if apart < lines.shape[2]:
                found.append(np.log1p(_change(lines, apart))[:, None])
    return np.concatenate(found, axis=1).astype(np.float64)


def _change(lines: np.ndarray, apart: int) -> np.ndarray:
    """The mean difference (n,) float32 between pixels so far `apart` on lines (n, lines, length) uint8.

    All lines are taken for one, which is several times as fast, and what reaches from one into the next left out.
    """
    count, number, length = lines.shape
    flat, changes = np.ascontiguousarray(lines).reshape(-1), np.zeros(lines.shape, np.uint8)
    first, second = flat[:-apart], flat[apart:]
    np.subtract(
        np.maximum(first, second), np.minimum(first, second), out=changes.reshape(-1)[: len(flat) - apart]
    )
    changes[:, :, length - apart :] = 0
    sums = changes.reshape(count, number * length).astype(np.float32).sum(1)
    return sums / np.float32(number * (length - apart))


def _brightness(pixels: np.ndarray) -> np.ndarray:
    """Pixels (n, lines, length, C) uint8 -> their brightness (n, lines, length) uint8."""
    if pixels.shape[3] == 1:
        return pixels[..., 0]
    found = pixels[..., 1].astype(np.uint16)
    found <<= 1
    found += pixels[..., 0]
    found += pixels[..., 2]
    found >>= 2
    return found.astype(np.uint8)


# Harmless changes ------------------------------------------------------------------------------------------------


def _compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return Image.open(file)


def _resized(image: Image.Image) -> Image.Image:
    large = image.resize((3 * image.width, 3 * image.height), Image.Resampling.BICUBIC)
    return large.resize(image.size, Image.Resampling.BICUBIC)


# What happens to pictures on their way, and makes none of them strange.
_CHANGES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    _compressed,
    _resized,
    lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    lambda image: ImageEnhance.Brightness(image).enhance(1.2),
)


def harmless_changes(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """`pixels` (n, H, W, C) uint8 compressed, enlarged and reduced again, darker, and brighter: one after the other.

    Without them, statistics of images that all came the same way are so narrow that every other way would be strange.
    """
    images = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in pixels]
    for change in _CHANGES:
        yield np.stack([np.asarray(change(image)) for image in images]).reshape(pixels.shape)
