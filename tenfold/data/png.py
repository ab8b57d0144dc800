"""Small PNG files of nothing but pixels, by libspng and without Python's lock.

Data sets for learning are full of them, and Pillow spends more on opening one than on its pixels. pyspng gives
exactly Pillow's pixels; every other file is left to `decode_pixels`.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from tenfold.data.decode import Target
from tenfold.data.formats import Encoded, plain_png, read_file
from tenfold.data.limits import BadPicture

_END = b"\0\0\0\0IEND\xaeB`\x82"
_HEAD = 33  # bytes up to the first chunk of pixels

# Pixels (n, H, W, C) uint8 of pictures brought to a target, and which of them (n,) bool are read.
Decoder = Callable[[Sequence[Encoded], Target], tuple[np.ndarray, np.ndarray]]


def png_decoder() -> Decoder | None:
    """What decodes plain PNG files of the target's size; None where pyspng is not installed."""
    try:
        import pyspng  # not for every kind of processor
    except ImportError:
        return None

    def decode(encoded: Sequence[Encoded], target: Target) -> tuple[np.ndarray, np.ndarray]:
        shape = (target.height, target.width, target.channels)
        pixels, done = np.empty((len(encoded), *shape), np.uint8), np.zeros(len(encoded), bool)
        for place, one in enumerate(encoded):
            contents = _contents(one)
            if not _plain(contents, target):
                continue
            try:
                found = pyspng.load(contents)
            except Exception:  # Whatever is wrong with it, the ordinary way says so.
                continue
            pixels[place] = found if found.ndim == 3 else found[..., None]
            done[place] = True
        return pixels, done

    return decode


def suits(encoded: Encoded, target: Target) -> bool:
    """Whether a picture is one that `png_decoder` is for."""
    return _plain(_contents(encoded), target)


def _plain(contents: bytes, target: Target) -> bool:
    """Whether it has the target's size, no other channels, and one chunk of pixels and nothing beside."""
    found = plain_png(contents[:64])
    if found is None or found[:2] != (target.width, target.height):
        return False
    if found[2] == "RGB" and target.channels == 1:
        return False
    # libspng goes over damage that Pillow tells of; the checksums show it.
    end = _HEAD + 8 + int.from_bytes(contents[_HEAD : _HEAD + 4], "big")
    return (
        contents[end + 4 :] == _END and _sound(contents, 12, _HEAD - 4) and _sound(contents, _HEAD + 4, end)
    )


def _sound(contents: bytes, begin: int, end: int) -> bool:
    """Whether the checksum after a chunk's kind and contents is theirs."""
    return zlib.crc32(contents[begin:end]) == int.from_bytes(contents[end : end + 4], "big")


def _contents(encoded: Encoded) -> bytes:
    """The bytes of a picture, or of the file of that path; nothing of what cannot be read."""
    if not isinstance(encoded, str):
        return encoded if isinstance(encoded, bytes) else b""
    try:
        return read_file(encoded)
    except (OSError, ValueError, BadPicture):
        return b""
