"""Small PNG files decoded by libspng: Pillow's pixels or nothing, whatever the file holds."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from images import scene
from PIL import Image

from tenfold.data.decode import Target, decode_pixels
from tenfold.data.formats import Unreadable
from tenfold.data.png import png_decoder, suits

pytestmark = pytest.mark.skipif(png_decoder() is None, reason="pyspng is not installed here")
STRATEGIES = {
    "default": (9, zlib.Z_DEFAULT_STRATEGY),
    "fast": (1, zlib.Z_DEFAULT_STRATEGY),
    "stored": (0, zlib.Z_DEFAULT_STRATEGY),
    "fixed": (6, zlib.Z_FIXED),
    "huffman": (6, zlib.Z_HUFFMAN_ONLY),
    "runs": (6, zlib.Z_RLE),
}

TARGET = Target(16, 16, 3)


def chunk(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def filtered(pixels: np.ndarray, kinds: list[int]) -> bytes:
    """Rows (H, W, C) under the filters of the PNG specification, computed here with Python's integers."""
    rows, above = [], np.zeros(pixels[0].size, int)
    for row, kind in zip(pixels.reshape(len(pixels), -1).astype(int), kinds, strict=True):
        left, corner = (np.concatenate([np.zeros(pixels.shape[2], int), x])[: len(row)] for x in (row, above))
        nearest = [
            min((x, y, z), key=lambda v, x=x, y=y, z=z: abs(x + y - z - v))
            for x, y, z in zip(left, above, corner, strict=True)
        ]
        guesses = (0, left, above, (left + above) // 2, np.array(nearest))
        rows.append(bytes([kind]) + ((row - guesses[kind]) % 256).astype(np.uint8).tobytes())
        above = row
    return b"".join(rows)


def png(pixels: np.ndarray, kinds: list[int], level: int = 6, strategy: int = 0, extra: bytes = b"") -> bytes:
    height, width, channels = pixels.shape
    packer = zlib.compressobj(level, zlib.DEFLATED, 15, 8, strategy)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    body = packer.compress(filtered(pixels, kinds)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def decoded(contents, target=TARGET):
    """The decoder's pixels of one picture, or None."""
    decoder = png_decoder()
    assert decoder is not None
    pixels, done = decoder([contents], target)
    return pixels[0] if done[0] else None


IMAGES = {
    "scene": scene(1, 16),
    "noise": np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8),
    "flat": np.full((16, 16, 3), 200, np.uint8),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(("channels", "wanted"), [(3, 3), (1, 3), (1, 1)])
def test_every_filter_and_way_to_compress_gives_pillows_pixels(strategy, name, channels, wanted):
    image, target = IMAGES[name][..., :channels], Target(16, 16, wanted)
    for kinds in (*([kind] * 16 for kind in range(5)), [row % 5 for row in range(16)]):
        contents = png(image, kinds, *STRATEGIES[strategy])
        found = decoded(contents, target)
        assert found is not None
        np.testing.assert_array_equal(found, decode_pixels(contents, target))
        np.testing.assert_array_equal(found, np.broadcast_to(image, (16, 16, wanted)))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 5), (100, 120)])
def test_every_size(size):
    image = np.random.default_rng(1).integers(0, 40, (*size, 3), np.uint8)
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(image)), Target(*size, 3)), image)


def test_files_and_contents_in_one_call_with_what_is_none_of_them(tmp_path):
    names = [str(tmp_path / f"ä {i}.png") for i in range(3)]
    for i, name in enumerate(names):
        Image.fromarray(scene(i, 16)).save(name)
    os.mkfifo(tmp_path / "pipe.png")
    others = [str(tmp_path / "none.png"), str(tmp_path), str(tmp_path / "pipe.png"), names[0] + "\0x", b""]
    given = [*names, saved(Image.fromarray(scene(9, 16))), *others, Unreadable("no"), scene(1, 16)]
    decoder = png_decoder()
    assert decoder is not None
    pixels, done = decoder(given, TARGET)
    assert done.tolist() == [True] * 4 + [False] * 7
    for row, seed in enumerate((0, 1, 2, 9)):
        np.testing.assert_array_equal(pixels[row], scene(seed, 16))


def test_what_is_more_than_pixels_is_left_alone():
    image, plain = Image.fromarray(scene(4, 16)), [0] * 16
    tag = chunk(b"tEXt", b"Comment\0x")
    others = {
        "palette": saved(image.convert("P")),
        "alpha": saved(image.convert("RGBA")),
        "one bit": saved(image.convert("1")),
        "16 bits": saved(Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16))),
        "another size": saved(image.resize((17, 16))),
        "another chunk": png(scene(4, 16), plain, extra=tag),
        "JPEG": saved(image, "JPEG"),
    }
    for name, contents in others.items():
        assert decoded(contents) is None, name
        assert not suits(contents, TARGET)
    coloured = saved(image)
    assert decoded(coloured, Target(16, 16, 1)) is None
    assert suits(coloured, TARGET)


def test_more_pixels_than_the_header_says_are_pillows_first_ones():
    rows = filtered(np.concatenate([scene(4, 16), scene(5, 16)]), [0] * 32)
    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    contents = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    np.testing.assert_array_equal(decoded(contents), decode_pixels(contents, TARGET))


def test_a_wrong_stream_under_a_right_checksum_gives_nothing():
    rows = filtered(scene(4, 16), [0] * 16)
    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    for stream in (zlib.compress(rows)[:-200], zlib.compress(rows[:-60]), b"no stream", b""):
        parts = chunk(b"IHDR", head), chunk(b"IDAT", stream), chunk(b"IEND", b"")
        assert decoded(b"\x89PNG\r\n\x1a\n" + b"".join(parts)) is None


def mutations(count: int) -> list[bytes]:
    """Damaged files: changed bytes with and without a right checksum after them, cut ones, bytes put in."""
    generator = np.random.default_rng(5)
    sources = [
        png(IMAGES[name], [row % 5 for row in range(16)], *how)
        for name in IMAGES
        for how in STRATEGIES.values()
    ]
    found = []
    for number in range(count):
        contents = bytearray(sources[number % len(sources)])
        for _ in range(generator.integers(1, 4)):
            # Mostly where the codes are.
            place = int(generator.integers(33, min(len(contents), generator.choice([80, 1 << 20]))))
            contents[place] = generator.integers(256)
        if number % 7 == 0:
            del contents[int(generator.integers(1, len(contents))) :]
        if number % 11 == 0:
            contents[60:60] = generator.bytes(5)
        found.append(bytes(contents))
    return found


def test_of_damaged_files_nothing_comes_that_pillow_would_not_give():
    target, undone = TARGET, 0
    for contents in mutations(3000):
        found = decoded(contents, target)
        undone += found is None
        if found is not None:
            np.testing.assert_array_equal(found, decode_pixels(contents, target))
    assert undone > 2000
