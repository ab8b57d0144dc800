"""One encoded picture -> one uint8 array of the wanted shape: every mode, EXIF orientation, resize and crop."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tenfold.data.formats import Encoded, Unreadable, has_more_frames, open_picture, read_file
from tenfold.data.limits import BadPicture

Fit = Literal["crop", "pad", "squash"]
Range = tuple[float, float]

FULL = 65535  # the largest 16-bit value


@dataclass(frozen=True)
class Target:
    """The shape (pixels, channels) that images are brought to, and how: all of the decoding that a model depends on.

    fit: what becomes of another aspect ratio. "crop" cuts the longer side, "pad" adds black, "squash" distorts.
    whole_range, real_range: the lowest and highest value of pictures of more than 8 bits, integer and floating
    point, which become 0 and 255; without one, the format's own (65535, and 1 or 255).
    guesses: what was guessed from few images; one that shows a guess to be wrong raises Misfit. "size": all have the
    target's size already; "gray": all are gray; "range": none has more than 8 bits.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "crop"
    whole_range: Range | None = None
    real_range: Range | None = None
    guesses: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """All but the guesses, as `data.json` has it."""
        facts = asdict(replace(self, guesses=frozenset()))
        del facts["guesses"]
        return facts

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> "Target":
        """What `to_json` gave."""
        whole, real = (tuple(facts[name]) if facts[name] else None for name in ("whole_range", "real_range"))
        return cls(facts["height"], facts["width"], facts["channels"], facts["fit"], whole, real)


class Misfit(Exception):  # noqa: N818
    """An image that shows a guess of the target (its one argument) to be wrong."""


class Original(NamedTuple):
    """What an image was before: width and height upright (pixels), mode, and 64-bit hashes of its bytes and pixels.

    `gray` says whether its three colour channels are equal. low, high: its extreme values where it has more than
    8 bits, else nan. more_frames: whether it has more than one; the first is used.
    """

    width: int
    height: int
    mode: str
    gray: bool
    content: int
    picture: int = 0
    low: float = math.nan
    high: float = math.nan
    more_frames: bool = False


def decode(encoded: Encoded, target: Target | None) -> tuple[np.ndarray, Original]:
    """Read one picture and bring it to `target`: (H, W, C) uint8, and what it was.

    Without a target, to have a look at it, it keeps its size, becomes RGB, and its own range becomes 0 to 255.

    Resized with antialiasing as `target.fit` says. Transparent pixels are laid over white, values of more than
    8 bits scaled to 8, the EXIF orientation is applied, and of several frames the first is taken.
    Raises BadPicture with the reason when the picture cannot be read, and Misfit.
    """
    with _explained():
        opened = _upright(encoded, target)
        pixels = np.asarray(opened.image)
        original = opened.original(pixels)
        return (pixels if target is None else _fit(opened.image, target, pixels, original.gray)), original


def decode_pixels(encoded: Encoded, target: Target) -> np.ndarray:
    """The same pixels (H, W, C) uint8 as of `decode`, without what it finds out about the picture beside them.

    Raises BadPicture and Misfit.
    """
    with _explained():
        return _fit(_upright(encoded, target).image, target)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise nothing but BadPicture, with the reason, and Misfit."""
    try:
        yield
    except (BadPicture, Misfit):
        raise
    except MemoryError:
        raise BadPicture("there is not enough memory to decode it") from None
    except OSError as error:
        raise BadPicture(error.strerror or str(error)) from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise BadPicture(str(error) or type(error).__name__) from None


def content_hash(encoded: Encoded) -> int | None:
    """The `content` of the Original that decoding gives, without decoding; None for what cannot be read."""
    try:
        contents = read_file(encoded) if isinstance(encoded, str) else encoded
    except (OSError, BadPicture):
        return None
    if isinstance(contents, Unreadable):
        return None
    return _hash(contents.tobytes() if isinstance(contents, np.ndarray) else contents)


class _Upright(NamedTuple):
    """A picture in RGB as it is to be seen, with what is known of it at no cost."""

    contents: bytes
    image: Image.Image
    size: tuple[int, int]
    mode: str
    low: float
    high: float
    more_frames: bool

    def original(self, pixels: np.ndarray) -> Original:
        """What the picture, whose pixels (H, W, 3) are these, was before."""
        gray, hashes = _is_gray(pixels), (_hash(self.contents), _pixels_hash(pixels))
        return Original(*self.size, self.mode, gray, *hashes, self.low, self.high, self.more_frames)


def _upright(encoded: Encoded, target: Target | None) -> _Upright:
    contents, image, size = _open(encoded, target)
    # Before the picture is loaded: afterwards, some formats do not know any more.
    mode, more = image.mode, image.format is not None and has_more_frames(image, contents)
    if image.format is not None and _turn_upright(image):
        size = (size[1], size[0])
    low = high = math.nan
    if mode != "RGB" or image.info:  # saves time where there is nothing to do
        if _is_wide(image):
            image, low, high = _narrow(image, target, own_range=target is None)
        image = to_rgb(image)
    return _Upright(contents, image, size, mode, low, high, more)


def _open(encoded: Encoded, target: Target | None) -> tuple[bytes, Image.Image, tuple[int, int]]:
    """The picture's bytes, the picture as it is stored, and its width and height."""
    if isinstance(encoded, Unreadable):
        raise BadPicture(encoded.reason)
    if isinstance(encoded, np.ndarray):
        image = Image.fromarray(encoded[..., 0] if encoded.shape[2] == 1 else encoded)
        return encoded.tobytes(), image, image.size
    contents = read_file(encoded) if isinstance(encoded, str) else encoded
    twice = (2 * target.width, 2 * target.height) if target and "size" not in target.guesses else None
    return contents, *open_picture(contents, encoded if isinstance(encoded, str) else "", twice)


def _turn_upright(image: Image.Image) -> bool:
    """Apply the EXIF orientation; whether that exchanges width and height."""
    image.load()  # only then is everything that a PNG file says in `info`; a TIFF file is turned already
    if not image.info:
        return False
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
    ImageOps.exif_transpose(image, in_place=True)
    return turned


def _hash(contents: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(contents, digest_size=8).digest(), "little")


def _pixels_hash(pixels: np.ndarray) -> int:
    """64 bits of a hash of pixels and shape; SHA-256 because processors have instructions for it."""
    if not pixels.flags.c_contiguous:
        pixels = np.ascontiguousarray(pixels)
    digest = hashlib.sha256(pixels.data, usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "little") ^ pixels.shape[1]


def _is_gray(pixels: np.ndarray) -> bool:
    red, green, blue = pixels[0, 0].tolist()
    if not red == green == blue:  # settles most coloured pictures at once
        return False
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


# Shape -------------------------------------------------------------------------------------------------------


def _fit(
    image: Image.Image, target: Target, original: np.ndarray | None = None, gray: bool | None = None
) -> np.ndarray:
    """An upright picture as the target wants it; `original` and `gray` are its pixels and their colour, if known."""
    size = (target.width, target.height)
    if image.size == size:
        pixels = np.asarray(image) if original is None else original
    elif "size" in target.guesses:
        raise Misfit("size")
    else:
        pixels = np.asarray(resize(image, size, target.fit))
    if target.channels == 3:
        return pixels
    if _is_gray(np.asarray(image)) if gray is None else gray:
        return pixels[..., :1]
    if "gray" in target.guesses:
        raise Misfit("gray")
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def resize(image: Image.Image, size: tuple[int, int], fit: Fit = "crop") -> Image.Image:
    """The picture brought to `size` (width, height), bicubic and antialiased; `fit` is as in Target."""
    if fit == "squash":
        return image.resize(size, Image.Resampling.BICUBIC)
    if fit == "pad":
        return _padded(image, size)
    scale = min(image.width / size[0], image.height / size[1])
    # Rounding can put a full side's box a hair outside the picture, which Pillow refuses.
    width, height = min(size[0] * scale, image.width), min(size[1] * scale, image.height)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return image.resize(size, Image.Resampling.BICUBIC, box=box)


def _padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(size[0] / image.width, size[1] / image.height)
    inside = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(image.mode, size)
    place = ((size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2)
    canvas.paste(image.resize(inside, Image.Resampling.BICUBIC), place)
    return canvas


def cropped_share(width: Any, height: Any, target: Target) -> Any:
    """The share of a picture's area that "crop" cuts away, from 0 to 1; for numbers or arrays."""
    aspect = (width * target.height) / (height * target.width)
    return 1 - np.minimum(aspect, 1 / aspect)


# Values ------------------------------------------------------------------------------------------------------


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in mode RGB, whatever its mode; more than 8 bits are scaled by the format's whole range."""
    if _is_wide(image):
        image = _narrow(image, None)[0]
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_wide(image: Image.Image) -> bool:
    """Whether its values have more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def _narrow(
    image: Image.Image, target: Target | None, own_range: bool = False
) -> tuple[Image.Image, float, float]:
    """A picture of more than 8 bits scaled to 8 (by the target's range, or its own), its lowest and highest value."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadPicture("it has values that are no numbers (NaN or infinite)")
    if target and "range" in target.guesses:
        raise Misfit("range")
    real = values.dtype.kind == "f"
    chosen = (target.real_range if real else target.whole_range) if target else None
    if own_range:
        chosen = (low, max(high, low + 1))
    if chosen is not None:  # what other images, met later, have outside of it is cut off
        values = np.clip(values, *chosen)
    bottom, top = chosen or (0, FULL if not real else 1 if high <= 1 else 255)
    if chosen is None and not 0 <= low <= high <= top:
        raise BadPicture(f"its values reach from {low:g} to {high:g}, expected 0 to {top}")
    values = values.astype(np.float64) - bottom if bottom else values
    return Image.fromarray(np.rint(values * (255 / (top - bottom))).astype(np.uint8)), low, high


def extremes(encoded: Encoded) -> tuple[str, float, float] | None:
    """("whole" or "real", lowest value, highest value) of a picture of more than 8 bits; None for all others.

    None also for one that cannot be read: decode says why.
    """
    try:
        _, image, _ = _open(encoded, None)
        if not _is_wide(image):
            return None
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
    except Exception:
        return None
    kind = "real" if values.dtype.kind == "f" else "whole"
    return (kind, low, high) if math.isfinite(low) and math.isfinite(high) else None


def whole_range(low: float, high: float) -> Range:
    """The range to scale integers by that reach from `low` to `high` over a whole source.

    From 0 to the largest value of as many bits as they take (4095 for 12), or their own range where they begin far
    above 0.
    """
    top = next((2.0**bits - 1 for bits in range(8, 17) if high < 2**bits), None)
    if top is None or low < 0 or low > top / 16:
        return (low, high) if high > low else (low, low + 1)
    return (0.0, top)


def real_range(low: float, high: float) -> Range:
    """The same for floating point: 0 to 1 or 0 to 255 where the values fill them, else their own range."""
    for top in (1.0, 255.0):
        if low >= 0 and top / 16 < high <= top:
            return (0.0, top)
    return (low, high) if high > low else (low, low + 1)
