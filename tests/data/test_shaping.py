"""The one shape and range of values that a source's images are brought to."""

from pathlib import Path

import numpy as np
import pytest
from accounts import pixels_of
from corpus import (
    float_tiff,
    pets,
    wide_png,
)
from images import load, random_pixels, save
from PIL import Image

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 4095, (0, 4095)),
        (0, 255, (0, 255)),
        (0, 65535, (0, 65535)),
        (1000, 3000, (1000, 3000)),
        (0, 900, (0, 1023)),
    ],
)
def test_16_bits_are_scaled_by_the_range_of_the_source(tmp_path, low, high, wanted):
    for name in ("cat", "dog"):
        for i in range(8):
            wide_png(tmp_path / name / f"{i}.png", low + i, high if i else high - 1)
    splits = load(tmp_path)
    assert splits.reading is not None
    assert splits.reading.target.whole_range == wanted
    values = np.concatenate([split.images(slice(None)).ravel() for split in splits])
    assert len(np.unique(values)) > 60
    assert values.max() == round(255 * (high - wanted[0]) / (wanted[1] - wanted[0]))
    assert splits.describe()["decoding"]["whole_range"] == wanted


def test_a_dark_picture_stays_darker_than_a_bright_one(tmp_path):
    for name in ("cat", "dog"):
        for i in range(8):
            wide_png(tmp_path / name / f"{i}.png", 0, 2000 if i % 2 else 4000)
    splits = load(tmp_path)
    dark, bright = (int(pixels_of(splits, f"cat/{name}.png").max()) for name in "12")
    assert dark == round(255 * 2000 / 4095)
    assert bright == round(255 * 4000 / 4095)


@pytest.mark.parametrize(("low", "high", "wanted"), [(0, 1, (0, 1)), (0, 255, (0, 255)), (-3, 12, (-3, 12))])
def test_floating_point_is_scaled_by_the_range_of_the_source(tmp_path, low, high, wanted):
    for name in ("cat", "dog"):
        for i in range(8):
            float_tiff(tmp_path / name / f"{i}.tif", low, high if i else high / 2)
    splits = load(tmp_path)
    assert splits.reading is not None
    assert splits.reading.target.real_range == pytest.approx(wanted)
    assert pixels_of(splits, "cat/1.tif").max() == 255
    assert pixels_of(splits, "cat/0.tif").max() < 255


def test_mixed_ranges_are_said(tmp_path):
    for name in ("cat", "dog"):
        for i in range(8):
            wide_png(tmp_path / name / f"{i}.png", 0, 255 if i < 4 else 65535)
    assert [notice for notice in load(tmp_path).notices if "the ranges may be mixed" in notice]


def test_8_and_16_bits_side_by_side_are_said(tmp_path):
    pets(tmp_path)
    wide_png(tmp_path / "cat" / "wide.png", 0, 4095)
    assert [
        notice for notice in load(tmp_path).notices if "of 8 bits (24) and of more (1) are mixed" in notice
    ]


@pytest.mark.parametrize("ending", ["gif", "tif", "webp", "png"])
def test_frames_that_are_not_used_are_said(tmp_path, ending):
    pets(tmp_path)
    frames = [Image.fromarray(random_pixels(seed)) for seed in (1, 2, 3)]
    frames[0].save(tmp_path / "cat" / f"many.{ending}", save_all=True, append_images=frames[1:])
    notices = load(tmp_path).notices
    assert [notice for notice in notices if notice.startswith("1 file with several frames")], notices
    frames[0].save(tmp_path / "cat" / f"many.{ending}")
    assert not [notice for notice in load(tmp_path).notices if "frames" in notice]


def oblong(root: Path, width: int, height: int) -> Path:
    for number, name in enumerate(("cat", "dog")):
        for i in range(8):
            save(root / name / f"{i}.png", random_pixels(50 * number + i, height, width))
    save(root / "cat" / "other.png", random_pixels(999, height, width + 1))
    return root


@pytest.mark.parametrize(("width", "fit"), [(200, "pad"), (24, "crop")])
def test_fit_is_chosen_by_the_share_that_cropping_takes(tmp_path, width, fit):
    splits = load(oblong(tmp_path, width, 20), image_size=16)
    assert splits.reading is not None
    assert splits.reading.target.fit == fit
    assert splits.reading.cropped == pytest.approx(1 - 20 / width, abs=0.01)
    assert splits.describe()["decoding"]["fit"] == fit
    assert [notice for notice in splits.notices if f"{1 - 20 / width:.0%}" in notice], splits.notices


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_fit_as_wanted(tmp_path, fit):
    oblong(tmp_path, 80, 20)
    edges = np.full((20, 80, 3), 128, np.uint8)
    edges[:, :10] = edges[:, -10:] = 255
    save(tmp_path / "cat" / "edges.png", edges)
    splits = load(tmp_path, image_size=16, fit=fit)
    found = pixels_of(splits, "cat/edges.png")[..., 0]
    if fit == "crop":
        assert found.max() < 140, "the ends are cut off"
    elif fit == "pad":
        assert found[0].max() == found[-1].max() == 0
        assert found[8, 0] > 240
    else:
        assert found[0, 0] > 240
        assert found[0].min() > 100


def test_one_large_colour_picture_among_small_gray_ones_changes_nothing(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        for i in range(60):
            save(tmp_path / name / f"{i}.png", random_pixels(100 * number + i, channels=1))
    save(tmp_path / "cat" / "odd.png", random_pixels(7, 32, 32))
    splits = load(tmp_path)
    assert splits.image_shape == (1, 8, 8)
    assert [
        notice for notice in splits.notices if "1 image of another size" in notice and "cat/odd.png" in notice
    ]
    assert [notice for notice in splits.notices if "1 colour image among gray ones" in notice]
