"""What is known of a source before it is decoded, and what is said where nothing can be read."""

import numpy as np
import pytest
from corpus import (
    bomb,
    damaged,
    pets,
)
from images import load
from photographs import crop_photographs, missing

from tenfold.core.errors import InputError
from tenfold.data import Source, typical_size
from tenfold.recipe import Data


def test_damage_among_the_first_images_does_not_stop_a_plan(tmp_path):
    from tenfold.data import Source
    from tenfold.data.loading import typical_size

    pets(tmp_path)
    bomb(tmp_path / "cat" / "000.png")
    damaged(tmp_path / "cat" / "0.png", tmp_path / "cat" / "001.png", 30)
    assert typical_size(Data(), Source(str(tmp_path))) == 8


@pytest.mark.parametrize("data", ["", "  "])
def test_an_empty_source_is_said(data):
    with pytest.raises(InputError, match="--data is empty"):
        load(data)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Forty photographs of unequal sizes."""
    if reason := missing():
        pytest.skip(reason)
    return crop_photographs(tmp_path_factory.mktemp("photographs"), 40)


def test_the_typical_size_is_the_median_of_the_shorter_sides(pictures, photographs, tmp_path):
    assert typical_size(Data(), Source(str(pictures))) == 16
    assert typical_size(Data(), Source("digits")) == 8
    assert typical_size(Data(), Source(str(photographs))) > 64
    np.savez(tmp_path / "a.npz", images=np.zeros((9, 20, 30, 3), np.uint8), labels=np.arange(9) % 3)
    assert typical_size(Data(), Source(str(tmp_path / "a.npz"))) == 20


def test_a_source_without_a_readable_image_is_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of its first images can be read"):
        typical_size(Data(), Source(str(tmp_path)))
