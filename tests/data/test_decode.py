import io
import os
from pathlib import Path

import numpy as np
import pytest
from accounts import accounted
from corpus import (
    bomb,
    damaged,
    pets,
)
from hypothesis import given
from hypothesis import strategies as st
from images import load, random_pixels, save
from odd_pictures import odd_pictures
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tenfold.data.decode import Misfit, Target, decode, decode_pixels
from tenfold.data.formats import Unreadable, _tiny_png
from tenfold.data.limits import BadPicture

PIXELS = random_pixels(1, 10, 12)


def read(path: Path, target: Target | None = None) -> np.ndarray:
    return decode(str(path), target)[0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_pixels_alone_are_those_of_a_decoding_with_facts(tmp_path, fit, channels):
    for path in odd_pictures(tmp_path / "odd"):
        for target in (Target(16, 16, channels, fit), Target(16, 24, channels, fit)):
            np.testing.assert_array_equal(decode_pixels(str(path), target), read(path, target))


def test_pixels_alone_are_refused_as_with_facts(tmp_path):
    path = save(tmp_path / "a.png", PIXELS)
    with pytest.raises(Misfit, match="gray"):
        decode_pixels(str(path), Target(10, 12, 1, guesses=frozenset({"size", "gray"})))
    (tmp_path / "empty.png").touch()
    with pytest.raises(BadPicture, match="the file is empty"):
        decode_pixels(str(tmp_path / "empty.png"), Target(10, 12, 3))


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp"])
def test_lossless_formats_keep_every_pixel(tmp_path, ending):
    options = {"lossless": True} if ending == "webp" else {}
    np.testing.assert_array_equal(read(save(tmp_path / f"a.{ending}", PIXELS, **options)), PIXELS)


def test_jpeg_is_decoded_as_pillow_does(tmp_path):
    path = save(tmp_path / "a.jpg", PIXELS, quality=90)
    np.testing.assert_array_equal(read(path), np.asarray(Image.open(path)))


def test_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for ending in ("gif", "webp", "tiff"):
        path = tmp_path / f"a.{ending}"
        options = {"lossless": True} if ending == "webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert read(path)[4, 4].tolist() == [255, 0, 0]


def test_grayscale_has_three_equal_channels_and_says_so(tmp_path):
    gray = PIXELS[..., 0]
    pixels, original = decode(str(save(tmp_path / "a.png", gray)), None)
    np.testing.assert_array_equal(pixels, np.stack([gray] * 3, -1))
    assert (original.mode, original.gray) == ("L", True)


def test_colour_is_not_gray_even_when_only_one_pixel_is_coloured(tmp_path):
    pixels = np.full((6, 6, 3), 100, np.uint8)
    pixels[5, 5, 2] = 101
    assert not decode(str(save(tmp_path / "a.png", pixels)), None)[1].gray


def test_bilevel_is_black_and_white(tmp_path):
    Image.fromarray(PIXELS[..., 0] > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[..., 0], (PIXELS[..., 0] > 127) * np.uint8(255))


def test_palette_gives_its_colours_and_transparency_gives_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 20, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    image.save(tmp_path / "clear.gif", transparency=1)
    assert read(tmp_path / "opaque.png").tolist() == [[[200, 10, 20], [0, 0, 0]]]
    for name in ("clear.png", "clear.gif"):
        assert read(tmp_path / name).tolist() == [[[200, 10, 20], [255, 255, 255]]]


def test_alpha_is_laid_over_white(tmp_path):
    rgba = np.array([[[0, 0, 0, 255], [0, 0, 0, 0], [100, 0, 0, 128]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").tolist() == [[[0, 0, 0], [255, 255, 255], [177, 127, 127]]]
    Image.fromarray(rgba[..., [0, 3]]).save(tmp_path / "la.png")
    assert read(tmp_path / "la.png")[0, 1].tolist() == [255, 255, 255]


def test_colour_key_transparency_is_laid_over_white(tmp_path):
    Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)).save(
        tmp_path / "a.png", transparency=(1, 2, 3)
    )
    assert read(tmp_path / "a.png").tolist() == [[[255, 255, 255], [9, 9, 9]]]


def test_cmyk(tmp_path):
    for ending in ("jpg", "tiff"):
        Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(
            tmp_path / f"a.{ending}"
        )  # magenta + yellow ink: red
        red, green, blue = read(tmp_path / f"a.{ending}")[8, 8].astype(int)
        assert red > 240
        assert max(green, blue) < 16


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_16_bit_is_scaled_not_cut(tmp_path, ending):
    values = np.array([[0, 128, 257, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{ending}")
    pixels, original = decode(str(tmp_path / f"a.{ending}"), None)
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert original.mode.startswith("I")


def test_floating_point_from_0_to_1(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "a.tiff")
    assert read(tmp_path / "a.tiff")[0, :, 0].tolist() == [0, 128, 255]


def test_values_out_of_range_are_refused_with_the_range(tmp_path):
    Image.fromarray(np.array([[-4, 1e6]], np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match="from -4 to 1e\\+06"):
        decode(str(tmp_path / "a.tiff"), Target(1, 2, 3))
    assert read(tmp_path / "a.tiff")[0, :, 0].tolist() == [0, 255], "to have a look, its own range will do"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, ending, orientation):
    """The same picture stored in any of the eight ways comes out upright, with its upright size."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = (250, 0, 0)
    stored = Image.fromarray(upright)
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}.get(orientation, [])
    for method in undo:  # the inverse of what the EXIF tag asks for
        stored = stored.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == "webp" else {"quality": 95} if ending == "jpg" else {}
    stored.save(tmp_path / f"a.{ending}", exif=exif, **options)
    pixels, original = decode(str(tmp_path / f"a.{ending}"), None)
    assert np.abs(pixels.astype(int) - upright).mean() < 3
    assert (original.width, original.height) == (32, 16)
    small, original = decode(str(tmp_path / f"a.{ending}"), Target(4, 4, 3))
    assert (original.width, original.height) == (32, 16)
    assert small[0, 0, 0] > 150
    assert small[3, 3, 0] < 100


def test_resize_takes_the_centre_and_is_antialiased(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60:2] = 255  # fine stripes in the centre square: their mean, without aliasing, is half
    small = read(save(tmp_path / "a.png", pixels), Target(8, 8, 3))
    assert small.shape == (8, 8, 3)
    assert np.abs(small[:, 1:-1].astype(int) - 127).max() < 12


def test_large_jpeg_is_reduced_to_nearly_what_a_full_decoding_gives(tmp_path):
    smooth = np.asarray(
        Image.fromarray(random_pixels(3, 10, 14)).resize((1400, 1000), Image.Resampling.BICUBIC)
    )
    path = save(tmp_path / "a.jpg", smooth, quality=95)
    pixels, original = decode(str(path), Target(50, 50, 3))
    full = decode(save(tmp_path / "a.png", np.asarray(Image.open(path))).read_bytes(), Target(50, 50, 3))[0]
    assert (original.width, original.height) == (1400, 1000)
    assert np.abs(pixels.astype(int) - full).mean() < 1.5


def test_small_pictures_are_enlarged(tmp_path):
    assert read(save(tmp_path / "a.png", PIXELS), Target(32, 32, 3)).shape == (32, 32, 3)


def test_one_channel(tmp_path):
    gray = save(tmp_path / "gray.png", PIXELS[..., 0])
    coloured = save(tmp_path / "colour.png", PIXELS)
    np.testing.assert_array_equal(read(gray, Target(10, 12, 1)), PIXELS[..., :1])
    np.testing.assert_array_equal(
        read(coloured, Target(10, 12, 1))[..., 0], np.asarray(Image.open(coloured).convert("L"))
    )


def test_misfits_are_told(tmp_path):
    path = save(tmp_path / "a.png", PIXELS)
    with pytest.raises(Misfit, match="size"):
        read(path, Target(9, 9, 3, guesses=frozenset({"size"})))
    with pytest.raises(Misfit, match="gray"):
        read(path, Target(10, 12, 1, guesses=frozenset({"size", "gray"})))


def test_arrays_are_pictures_too():
    np.testing.assert_array_equal(decode(PIXELS, None)[0], PIXELS)
    gray = PIXELS[..., :1]
    np.testing.assert_array_equal(decode(gray, Target(10, 12, 1))[0], gray)
    assert decode(np.dstack([PIXELS, PIXELS[..., 0]]), None)[1].mode == "RGBA"


def test_the_wrong_ending_does_no_harm(tmp_path):
    save(tmp_path / "a.png", PIXELS).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read(tmp_path / "a.jpg"), PIXELS)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("optimize", [False, True])
def test_tiny_plain_png_files_take_the_short_way_to_the_same_pixels(tmp_path, channels, optimize):
    pixels = random_pixels(7, 33, 29, channels)
    contents = save(tmp_path / "a.png", pixels, optimize=optimize).read_bytes()
    short = _tiny_png(contents)
    assert short is not None
    np.testing.assert_array_equal(np.asarray(short), np.asarray(Image.open(io.BytesIO(contents))))


def test_no_other_picture_takes_the_short_way(tmp_path):
    pixels = random_pixels(7, 33, 29)
    info = PngInfo()
    info.add_text("comment", "x")
    kinds = {
        "palette.png": (Image.fromarray(pixels).quantize(16), {}),
        "alpha.png": (Image.fromarray(pixels).convert("RGBA"), {}),
        "deep.png": (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), {}),
        "bits.png": (Image.fromarray(pixels[..., 0] > 9), {}),
        "key.png": (Image.fromarray(pixels), {"transparency": (1, 2, 3)}),
        "text.png": (Image.fromarray(pixels), {"pnginfo": info}),
        "large.png": (Image.new("RGB", (300, 300)), {}),
        "a.bmp": (Image.fromarray(pixels), {}),
    }
    for name, (image, options) in kinds.items():
        image.save(tmp_path / name, **options)
        assert _tiny_png((tmp_path / name).read_bytes()) is None, name


@given(st.binary(max_size=80), st.integers(0, 400), st.data())
def test_garbled_png_files_are_refused_or_read_but_never_worse(garbage, where, data):
    stream = io.BytesIO()
    Image.fromarray(random_pixels(5, 8, 8)).save(stream, "PNG")
    contents = stream.getvalue()
    contents = contents[:where] + garbage + contents[where + len(garbage) :]
    contents = contents[: data.draw(st.integers(0, len(contents)))]
    try:
        pixels, _ = decode(contents, None)
    except BadPicture:
        return
    assert pixels.dtype == np.uint8


def broken(name: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(random_pixels(5, 64, 64)).save(stream, "JPEG" if name == "cut.jpg" else "PNG")
    contents = stream.getvalue()
    return {
        "cut.jpg": contents[: len(contents) // 2],
        "cut.png": contents[:300],
        "empty": b"",
        "text": b"hello" * 99,
    }[name]


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "empty", "text"])
def test_damaged_files_are_refused(name):
    with pytest.raises(BadPicture):
        decode(broken(name), None)


def test_what_could_not_be_fetched_is_refused_with_its_reason():
    with pytest.raises(ValueError, match="a link to nothing"):
        decode(Unreadable("a link to nothing"), None)


def test_pictures_that_promise_too_many_pixels(tmp_path):
    pets(tmp_path)
    bomb(tmp_path / "cat" / "00.png")
    bomb(tmp_path / "cat" / "01.png", 8200, 8200)  # below Pillow's own limit
    splits = load(tmp_path, bad_files_limit=0.5)
    reasons = {bad.path: bad.reason for bad in splits.bad_files}
    assert reasons.keys() == {"cat/00.png", "cat/01.png"}
    assert reasons["cat/00.png"].startswith(
        "its header promises more pixels than fit in memory; more than 67,108,864"
    )
    assert "it has 8200 x 8200 pixels; more than 67,108,864 are not decoded" in reasons["cat/01.png"]


@pytest.mark.parametrize("at", [16, 30, 45, 60, -12])
def test_garbled_chunks_are_bad_files(tmp_path, at):
    pets(tmp_path)
    source = tmp_path / "cat" / "0.png"
    damaged(source, tmp_path / "cat" / "000.png", at % source.stat().st_size)
    splits = load(tmp_path, bad_files_limit=0.5)
    assert accounted(splits) == 25
    assert {bad.path for bad in splits.bad_files} <= {"cat/000.png"}


def test_a_bmp_with_flipped_header_bits(tmp_path):
    pets(tmp_path)
    good = save(tmp_path / "good.bmp", random_pixels(1))
    for at in range(10, 34, 2):
        damaged(good, tmp_path / "cat" / f"0{at}.bmp", at, 2)
    good.unlink()
    splits = load(tmp_path, bad_files_limit=1)
    assert accounted(splits) == 24 + 12
    assert splits.bad_files


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_only_regular_files_are_read(tmp_path):
    pets(tmp_path)
    (tmp_path / "cat" / "kernel.png").symlink_to("/proc/kmsg")
    (tmp_path / "cat" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    splits = load(tmp_path, bad_files_limit=0.5)
    assert {bad.path for bad in splits.bad_files} == {
        f"cat/{name}.png" for name in ("kernel", "zero", "gone", "pipe")
    }
    assert sum(map(len, splits)) == 24
