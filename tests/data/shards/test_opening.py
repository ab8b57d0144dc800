"""From an index to the images that decoding would give; what is packed and what is streamed."""

from pathlib import Path

import numpy as np
import pytest
from images import random_pixels
from PIL import Image

from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.data.shards import opening
from tenfold.data.shards.packing import pack_shards
from tenfold.recipe import Data


def odd_pictures(folder: Path) -> Path:
    """Pictures of many sizes, gray ones and 16-bit ones."""
    for number in range(60):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = random_pixels(number, 20 + number % 7, 24)
        if number % 5 == 0:
            Image.fromarray(pixels[..., 0].astype(np.uint16) << 4).save(place / f"{number}.png")
        else:
            Image.fromarray(pixels if number % 3 else pixels[..., 0]).save(place / f"{number}.png")
    return folder


@pytest.mark.parametrize("changes", [{}, {"image_size": 16}, {"fit": "pad"}, {"channels": "grayscale"}])
def test_odd_pictures_are_brought_to_the_same_shape_without_decoding(tmp_path, changes):
    source = odd_pictures(tmp_path / "source")
    pack_shards(Source(str(source)), tmp_path / "shards", images=13)
    place = Source(str(tmp_path / "shards"))
    packed, streamed = (read_splits(Data(streaming=on, **changes), place) for on in (False, True))
    assert streamed.reading.to_json() == packed.reading.to_json()
    for one, other in zip(packed, streamed, strict=True):
        np.testing.assert_array_equal(one.images(slice(None)), other.images(slice(None)))


def test_what_fits_is_packed_and_what_does_not_is_streamed(digits_shards, monkeypatch):
    source = Source(str(digits_shards))
    fits = read_splits(Data(), source)
    assert not fits.streamed
    assert "decoded once into the cache: decoded they take" in fits.fed
    monkeypatch.setattr(opening, "machine_memory", lambda: 200_000)
    large = read_splits(Data(), source)
    assert large.streamed
    assert "more than half of the memory" in large.fed
    assert large.describe()["streamed"] is True
    with pytest.raises(InputError, match="tenfold pack SOURCE --shards"):
        read_splits(Data(streaming=True), Source("digits"))
