"""From the bytes of one picture to an opened Pillow image: which formats are read, and what is refused unseen.

Formats are told by the contents; a file's ending only says whether it is looked at. HEIC and DICOM need an extra.
"""

import io
import os
import stat
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TgaImagePlugin import TgaImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from tenfold.data.limits import LARGEST_FILE, LARGEST_PICTURE, BadPicture, TooLarge, UnknownFormat

PLAIN = frozenset(
    {
        *(
            ".jpg",
            ".jpeg",
            ".jpe",
            ".jfif",
            ".png",
            ".apng",
            ".webp",
            ".bmp",
            ".dib",
            ".gif",
            ".tif",
            ".tiff",
        ),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        *(".tga", ".ico", ".avif", ".avifs"),
    }
)
# For each ending that takes an extra: the extra's name, and the package that it brings.
EXTRAS = {
    ".heic": ("heic", "pillow_heif"),
    ".heif": ("heic", "pillow_heif"),
    ".dcm": ("dicom", "pydicom"),
    ".dicom": ("dicom", "pydicom"),
}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "ICO")
TINY = 1 << 16  # pixels
_READ = os.O_RDONLY | (os.O_BINARY if sys.platform == "win32" else os.O_NONBLOCK)

for plugin in (
    "Bmp",
    "Gif",
    "Ico",
    "Jpeg",
    "Jpeg2K",
    "Png",
    "Ppm",
    "Tiff",
    "WebP",
):  # each registers its formats
    import_module(f"PIL.{plugin}ImagePlugin")


@dataclass(frozen=True)
class Unreadable:
    """In place of a picture that could not even be fetched: the reason."""

    reason: str


# A file's path, its contents, or (H, W, C) uint8 pixels.
Encoded = str | bytes | np.ndarray | Unreadable


def ending(name: str) -> str:
    """The ending of a file's name in lower case, with its dot; "" for none."""
    stem, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot and stem and stem[-1] != "/" and "/" not in last else ""


def is_picture(name: str) -> bool:
    """Whether the name ends as that of a picture that can be read here; whether it is one shows on decoding."""
    found = ending(name)
    return found in PLAIN or (found in EXTRAS and find_spec(EXTRAS[found][1]) is not None)


def why_no_picture(name: str) -> str:
    """Why a file that is no picture by its name is left out."""
    found = ending(name)
    if found in EXTRAS:
        return f"needs the extra: pip install 'tenfold[{EXTRAS[found][0]}]'"
    return "not a picture format that is read"


def read_file(path: str) -> bytes:
    """The contents of a regular file. Raises BadPicture for anything else, and OSError.

    Devices, pipes and the kernel's pretended files (which have no size) are not read: that could last forever.
    """
    descriptor = os.open(path, _READ)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise BadPicture("not a regular file")
        if facts.st_size > LARGEST_FILE:
            raise BadPicture(f"the file is larger than {LARGEST_FILE >> 20} MiB")
        contents = os.read(descriptor, facts.st_size)
        while len(contents) < facts.st_size and (more := os.read(descriptor, facts.st_size - len(contents))):
            contents += more
        return contents
    finally:
        os.close(descriptor)


def open_picture(
    contents: bytes, name: str, reduce_to: tuple[int, int] | None
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture in `contents`, not decoded yet, and its width and height as stored.

    A JPEG file is decoded at half its size, or less, where it stays at least as large as `reduce_to` (width,
    height; None: as it is). `name` is the file's, or "". Raises BadPicture for what is no picture, or would take
    too much memory, and whatever Pillow raises on damaged files.
    """
    if not contents:
        raise BadPicture("the file is empty")
    if (image := _tiny_png(contents)) is not None:
        return image, image.size
    try:
        image = Image.open(io.BytesIO(contents), formats=FORMATS)
    except UnidentifiedImageError:
        image = _open_rarer(contents, name)
    except Image.DecompressionBombError:
        raise _too_large("its header promises more pixels than fit in memory") from None
    stored = image.size
    if reduce_to and image.format == "JPEG":
        image.draft(None, reduce_to)  # saves most of the time
    if image.width * image.height > LARGEST_PICTURE:
        raise _too_large(f"it has {stored[0]} x {stored[1]} pixels")
    return image, stored


def _too_large(said: str) -> TooLarge:
    return TooLarge(
        f"{said}; more than {LARGEST_PICTURE:,} are not decoded, because they would take too much memory: make it "
        "smaller"
    )


def has_more_frames(image: Image.Image, contents: bytes) -> bool:
    """Whether an opened picture has more than one frame or page; only the first is used."""
    if image.format == "GIF":  # it looks for the next frame, which must not disturb the first
        image = Image.open(io.BytesIO(contents), formats=("GIF",))
    if isinstance(image, GifImageFile | PngImageFile | TiffImageFile | WebPImageFile):
        with suppress(Exception):  # a later frame is damaged: the first can still be used
            return bool(image.is_animated)
    return image.info.get("frames", 1) > 1


def plain_png(head: bytes) -> tuple[int, int, str] | None:
    """Width, height and mode (L, RGB) of an 8-bit PNG file, not interlaced, whose pixels follow its header at once.

    `head`: at least its first 41 bytes. None for every other picture.
    """
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[37:41] != b"IDAT":
        return None
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", head, 16)
    mode = {0: "L", 2: "RGB"}.get(kind)
    return None if mode is None or depth != 8 or interlaced else (width, height, mode)


def _tiny_png(contents: bytes) -> Image.Image | None:
    """A small 8-bit gray or RGB PNG file of nothing but pixels, or None for every other picture and damaged ones.

    Image.open takes nearly as long as the decoding of such pictures, which data sets for learning are full of.
    """
    if (head := plain_png(contents)) is None:
        return None
    width, height, mode = head
    length = int.from_bytes(contents[33:37], "big")
    if contents[length + 49 : length + 53] != b"IEND" or not 0 < width * height <= TINY:
        return None
    try:
        return Image.frombytes(mode, (width, height), contents[41 : 41 + length], "zip", mode, False)
    except (ValueError, OSError):
        return None  # Image.open says better what is wrong


# Rarer formats -----------------------------------------------------------------------------------------------


def _open_rarer(contents: bytes, name: str) -> Image.Image:
    """A picture in a format whose reader is loaded only where it is needed."""
    if contents[4:8] == b"ftyp":
        return _open_boxed(contents)
    if contents[128:132] == b"DICM":
        if find_spec("pydicom") is None:
            raise UnknownFormat(f"a DICOM file {why_no_picture('.dcm.dcm')}")
        from tenfold.data.dicom import open_dicom

        return open_dicom(contents)
    # The format has no mark at its beginning: nearly anything would pass for it, so name or footer must say it.
    if ending(name) == ".tga" or contents[-18:-2] == b"TRUEVISION-XFILE":
        try:
            return TgaImageFile(io.BytesIO(contents))
        except SyntaxError:
            pass
    raise UnknownFormat("not a picture in a known format, whatever its name says")


def _open_boxed(contents: bytes) -> Image.Image:
    """AVIF or HEIC, which share a container."""
    brands = contents[8:12] + contents[16 : int.from_bytes(contents[:4], "big")]
    if b"avif" in brands or b"avis" in brands:
        import_module("PIL.AvifImagePlugin")
        return Image.open(io.BytesIO(contents), formats=("AVIF",))
    if find_spec("pillow_heif") is None:
        raise UnknownFormat(f"a HEIC file {why_no_picture('.heic.heic')}")
    import pillow_heif

    pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(contents), formats=("HEIF",))
