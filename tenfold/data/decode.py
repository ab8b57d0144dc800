"""One encoded picture -> one uint8 array of the wanted shape: every mode, EXIF orientation, resize and crop."""

import hashlib
import io
import os
import struct
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF")
TINY = 1 << 16  # pixels
LARGEST_FILE = 1 << 29  # bytes: what is larger is no picture to learn from, and would not fit in memory


for plugin in ("Bmp", "Gif", "Jpeg", "Png", "Tiff", "WebP"):  # each registers its formats
    import_module(f"PIL.{plugin}ImagePlugin")


@dataclass(frozen=True)
class Unreadable:
    """In place of a picture that could not even be fetched: the reason."""

    reason: str


# A file's path, its contents, or (H, W, C) uint8 pixels.
Encoded = str | bytes | np.ndarray | Unreadable


@dataclass(frozen=True)
class Target:
    """The shape (pixels, channels) that images are brought to.

    With `own_size` they must have that size already, with `only_gray` they must be gray: one that is not raises
    Misfit, because those two were guessed from the first image.
    """

    height: int
    width: int
    channels: int
    own_size: bool = False
    only_gray: bool = False


class Misfit(Exception):  # noqa: N818
    """An image that shows the guess of the common "size" or of "gray" (its one argument) to be wrong."""


class Original(NamedTuple):
    """What an image was before: width and height upright (pixels), mode, and a 64-bit hash of its bytes.

    `gray` says whether its three colour channels are equal.
    """

    width: int
    height: int
    mode: str
    gray: bool
    content: int


def decode(encoded: Encoded, target: Target | None) -> tuple[np.ndarray, Original]:
    """Read one picture and bring it to `target` (None: its own size, in RGB): (H, W, C) uint8, and what it was.

    The shorter side is resized with antialiasing and the centre cropped. Transparent pixels are laid over white,
    16-bit ones scaled to 8 bits, the EXIF orientation is applied, and of several frames the first is taken.
    Raises OSError or ValueError with the reason when the picture cannot be read, and Misfit.
    """
    contents, image, mode, size = _open(encoded, target)
    image = to_rgb(image)
    pixels = np.asarray(image)
    gray = _is_gray(pixels)
    digest = hashlib.blake2b(contents, digest_size=8).digest()
    original = Original(*size, mode, gray, int.from_bytes(digest, "little"))
    return (pixels if target is None else _fit(image, pixels, gray, target)), original


def _open(encoded: Encoded, target: Target | None) -> tuple[bytes, Image.Image, str, tuple[int, int]]:
    """The picture's bytes, the picture upright, the mode that it was stored in, and its upright width and height."""
    if isinstance(encoded, Unreadable):
        raise ValueError(encoded.reason)
    if isinstance(encoded, np.ndarray):
        image = Image.fromarray(encoded[..., 0] if encoded.shape[2] == 1 else encoded)
        return encoded.tobytes(), image, image.mode, image.size
    if isinstance(encoded, str):
        encoded = _read(encoded)
    if not encoded:
        raise ValueError("the file is empty")
    if (image := _tiny_png(encoded)) is not None:
        return encoded, image, image.mode, image.size
    try:
        image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError("not a picture in a known format, whatever its name says") from None
    mode, size = image.mode, image.size
    if target and image.format == "JPEG" and not target.own_size:
        # A JPEG decoder can halve the picture while it decodes, up to thrice, which saves most of the time.
        image.draft(None, (2 * target.width, 2 * target.height))
    turned = _turn_upright(image)
    return encoded, image, mode, (size[1], size[0]) if turned else size


def _tiny_png(contents: bytes) -> Image.Image | None:
    """A small 8-bit gray or RGB PNG file of nothing but pixels, or None for every other picture and damaged ones.

    Image.open takes nearly as long as the decoding of such pictures, which data sets for learning are full of.
    """
    if contents[:8] != b"\x89PNG\r\n\x1a\n" or contents[37:41] != b"IDAT":
        return None
    width, height, depth, kind, _, _, interlaced, length = struct.unpack_from(">IIBBBBBxxxxI", contents, 16)
    mode = {0: "L", 2: "RGB"}.get(kind)
    ends = contents[length + 49 : length + 53] == b"IEND"
    if mode is None or depth != 8 or interlaced or not ends or not 0 < width * height <= TINY:
        return None
    try:
        return Image.frombytes(mode, (width, height), contents[41 : 41 + length], "zip", mode, False)
    except (ValueError, OSError):
        return None  # Image.open says better what is wrong


def _turn_upright(image: Image.Image) -> bool:
    """Apply the EXIF orientation; whether that exchanges width and height."""
    image.load()  # only then is everything that a PNG file says in `info`; a TIFF file is turned already
    if not image.info:
        return False
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
    ImageOps.exif_transpose(image, in_place=True)
    return turned


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_FILE:
            raise ValueError(f"the file is larger than {LARGEST_FILE >> 20} MiB")
        return file.read()


def _is_gray(pixels: np.ndarray) -> bool:
    red, green, blue = pixels[0, 0].tolist()
    if not red == green == blue:  # settles most coloured pictures at once
        return False
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


def _fit(image: Image.Image, pixels: np.ndarray, gray: bool, target: Target) -> np.ndarray:
    size = (target.width, target.height)
    if image.size != size:
        if target.own_size:
            raise Misfit("size")
        pixels = np.asarray(resize(image, size))
    if target.channels == 3:
        return pixels
    if gray:
        return pixels[..., :1]
    if target.only_gray:
        raise Misfit("gray")
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred part with the shape of `size` (width, height), resized to it (bicubic, antialiased)."""
    scale = min(image.width / size[0], image.height / size[1])
    # Rounding can put a full side's box a hair outside the picture, which Pillow refuses.
    width, height = min(size[0] * scale, image.width), min(size[1] * scale, image.height)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return image.resize(size, Image.Resampling.BICUBIC, box=box)


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in mode RGB, whatever its mode."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Scale the format's whole range to 0..255: up to 65535 for integers, up to 1 or 255 for floating point."""
    top = 65535 if values.dtype.kind != "f" else 1 if values.max() <= 1 else 255
    if not (values.min() >= 0 and values.max() <= top):  # NaN fails this as well
        raise ValueError(f"its values reach from {values.min():g} to {values.max():g}, expected 0 to {top}")
    return np.rint(values * (255 / top)).astype(np.uint8)
