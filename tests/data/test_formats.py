"""The formats that are read, and what an extra would read."""

import numpy as np
import pytest
from accounts import accounted, files_below, left_out, pixels_of
from corpus import (
    pets,
    picture,
    write_dicom,
    write_heic,
)
from images import load, random_pixels
from PIL import Image

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ppm", {}),
        ("a.jp2", {"irreversible": False}),
        ("a.tga", {}),
        ("a.ico", {"sizes": [(16, 16)]}),
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("a.heic", {}),
        ("a.tiff", {}),
        ("a.webp", {"lossless": True}),
        ("a.PNG", {}),
        ("a.jfif", {"quality": 100, "subsampling": 0, "format": "JPEG"}),
    ],
)
def test_formats_that_are_read(tmp_path, name, options):
    pets(tmp_path)
    wanted = picture()
    path = tmp_path / "cat" / name
    write_heic(path, wanted) if name.endswith("heic") else wanted.save(path, **options)
    splits = load(tmp_path, image_size=16)
    assert accounted(splits) == files_below(tmp_path)
    assert splits.bad_files == ()
    found = pixels_of(splits, f"cat/{name}").astype(int)
    assert np.abs(found - np.asarray(wanted, int)).max() <= (
        12 if name[2:] in {"avif", "heic", "jfif"} else 0
    )


@pytest.mark.parametrize("name", ["a.pgm", "a.pbm"])
def test_gray_and_black_and_white_maps(tmp_path, name):
    pets(tmp_path)
    values = np.tile(np.array([0, 255], np.uint8), (8, 4))
    image = Image.fromarray(values)
    (image.convert("1") if name == "a.pbm" else image).save(tmp_path / "cat" / name)
    assert (pixels_of(load(tmp_path), f"cat/{name}")[..., 0] == values).all()


def test_what_an_extra_would_read_is_left_out_with_its_name(tmp_path, monkeypatch):
    from tenfold.data import formats

    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    pets(tmp_path)
    write_heic(tmp_path / "cat" / "a.heic", picture())
    write_dicom(tmp_path / "dog" / "a.dcm", random_pixels(1)[..., 0])
    splits = load(tmp_path)
    assert left_out(splits) == {
        (".heic", "needs the extra: pip install 'tenfold[heic]'"): 1,
        (".dcm", "needs the extra: pip install 'tenfold[dicom]'"): 1,
    }
