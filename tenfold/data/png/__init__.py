"""Small PNG files of nothing but pixels, many in one call and without Python's lock: png.c.

Data sets for learning are full of them, and Pillow spends more on opening one than on its pixels. Here a file is
read, inflated and unfiltered in C, which gives exactly Pillow's pixels; every other file is left to `decode_pixels`.
The C file is compiled when it is first needed (`tenfold.core.compiling`).
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tenfold.core.compiling import Build, find_compiler, made
from tenfold.core.errors import TenfoldError
from tenfold.data.decode import Target
from tenfold.data.formats import Encoded, plain_png

FOLDER = Path(__file__).parent
_FLAGS = ("-O3", "-march=native", "-fPIC")
BUILD = Build(
    "png",
    "png",
    (FOLDER / "png.c",),
    (FOLDER / "filters.h", FOLDER / "inflate.h"),
    ("decode_pngs",),
    _FLAGS,
)

# Pixels (n, H, W, C) uint8 of pictures brought to a target, and which of them (n,) bool are read.
Decoder = Callable[[Sequence[Encoded], Target], tuple[np.ndarray, np.ndarray]]


class PngProblem(ctypes.Structure):
    """`Pngs` of png.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("sources", "lengths", "pixels", "done")),
        *((name, ctypes.c_long) for name in ("count", "height", "width", "channels")),
    )


def png_decoder() -> Decoder | None:
    """What decodes plain PNG files of the target's size; None where it cannot be compiled."""
    compiler, _ = find_compiler()
    functions = made(compiler, BUILD) if compiler else None
    if functions is None or isinstance(functions, Exception):
        return None
    return partial(_decode, functions["decode_pngs"])


def suits(encoded: Encoded, target: Target) -> bool:
    """Whether a picture is one that `png_decoder` is for."""
    try:
        if isinstance(encoded, str):
            with open(encoded, "rb", buffering=0) as file:
                head = file.read(64)
        else:
            head = encoded[:64] if isinstance(encoded, bytes) else b""
    except (OSError, ValueError):
        return False
    found = plain_png(head)
    return found is not None and found[:2] == (target.width, target.height)


def _decode(
    function: Callable[..., int], encoded: Sequence[Encoded], target: Target
) -> tuple[np.ndarray, np.ndarray]:
    """Raises TenfoldError where memory is short."""
    sources, lengths = zip(*map(_source, encoded), strict=True)
    count, shape = len(encoded), (target.height, target.width, target.channels)
    pixels, done = np.empty((count, *shape), np.uint8), np.zeros(count, bool)
    texts, sizes = (ctypes.c_char_p * count)(*sources), (ctypes.c_long * count)(*lengths)
    places = (ctypes.addressof(texts), ctypes.addressof(sizes), pixels.ctypes.data, done.ctypes.data)
    if function(ctypes.byref(PngProblem(*places, count, *shape))):
        raise TenfoldError("there is no memory left to decode pictures with. Close other programs.")
    return pixels, done


def _source(encoded: Encoded) -> tuple[bytes, int]:
    """A path and -1, or contents and their length; nothing for what C cannot read."""
    if isinstance(encoded, bytes):
        return encoded, len(encoded)
    if isinstance(encoded, str) and "\0" not in encoded:
        return os.fsencode(encoded), -1
    return b"", 0
