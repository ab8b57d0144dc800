"""One encoded picture -> one uint8 array of the wanted shape: every mode, EXIF orientation, resize and crop."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Image.init()  # registers every format; afterwards `formats` only chooses among them
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
)
FALLBACK_SIZE = 64  # pixels: the height and width when the images' own sizes differ

Encoded = str | bytes | np.ndarray  # a file's path, its contents, or (H, W) or (H, W, C) uint8 pixels


@dataclass(frozen=True)
class Target:
    """The shape that images are brought to. `size` None keeps each image's own; `channels` is 1 or 3."""

    size: int | None
    channels: int


@dataclass(frozen=True)
class Decoded:
    """An image and what its file was: `pixels` (H, W, C) uint8, its own width, height and mode, a hash of its bytes.

    `gray` says whether the colours carry nothing: all three channels are equal.
    """

    pixels: np.ndarray
    width: int
    height: int
    mode: str
    gray: bool
    content: int


def decode(encoded: Encoded, target: Target) -> Decoded:
    """Read one picture and bring it to `target`: the shorter side resized with antialiasing, the centre cropped.

    Transparent pixels are laid over white, 16-bit ones scaled to 8 bits, the EXIF orientation is applied, and of
    several frames the first is taken. Raises ValueError with the reason when the picture cannot be read.
    """
    if isinstance(encoded, np.ndarray):
        return _finish(_image_of(encoded), _mode_of(encoded), target, encoded.tobytes())
    contents = Path(encoded).read_bytes() if isinstance(encoded, str) else encoded
    if not contents:
        raise ValueError("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of odd metadata; what matters is whether pixels come out
        image = Image.open(io.BytesIO(contents), formats=FORMATS)
        mode, size = image.mode, image.size
        if target.size is not None and image.format in {"JPEG", "MPO"}:
            image.draft(None, (2 * target.size, 2 * target.size))
        return _finish(upright(image), mode, target, contents, size)


def upright(image: Image.Image) -> Image.Image:
    """The picture turned the way its EXIF orientation says."""
    return ImageOps.exif_transpose(image)


def _finish(
    image: Image.Image, mode: str, target: Target, contents: bytes, size: tuple[int, int] | None = None
) -> Decoded:
    width, height = size or image.size
    image = to_rgb(image)
    pixels = np.asarray(image)
    gray = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
    if target.size is not None and image.size != (target.size, target.size):
        pixels = np.asarray(square(image, target.size))
    if target.channels == 1:
        pixels = pixels[..., :1] if gray else np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    content = hashlib.blake2b(contents, digest_size=8).digest()
    return Decoded(pixels, width, height, mode, gray, int.from_bytes(content, "little"))


def square(image: Image.Image, size: int) -> Image.Image:
    """The centre square of the picture, resized with antialiasing (bicubic) to `size` pixels a side."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in mode RGB, whatever its mode."""
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale the whole range of the format to 0..255: 65535 for integers, 1 or 255 for floating-point values."""
    if values.dtype.kind == "f":
        top = 1.0 if values.max() <= 1 else 255.0
    else:
        top = 65535.0
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise ValueError(f"its values reach from {values.min():g} to {values.max():g}, expected 0 to {top:g}")
    return np.rint(values * (255.0 / top)).astype(np.uint8)


def _image_of(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _mode_of(pixels: np.ndarray) -> str:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return {1: "L", 3: "RGB", 4: "RGBA"}[channels]
