"""The pictures of a page: each once, no more than its budget, of any shape."""

import base64
import re

import numpy as np
import pytest

from tenfold.report.kit.gallery import Album, by_cell, fill, sheet_css, tile_limit, tile_side
from tenfold.runs.predictions import Predictions


def album_of(n, classes=3, limit=10):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(classes), n)
    answers = Predictions([str(k) for k in range(n)], np.arange(n) % classes, probabilities, tuple("abc"))
    return Album(answers, limit)


def test_an_album_holds_each_image_once_and_no_more_than_its_limit():
    album = album_of(50)
    assert album.add_all([7, 8, 7]) == [0, 1, 0]
    assert len(album.add_all(range(50))) == 10
    assert len(album.tiles) == 10


def test_every_kind_of_mistake_comes_before_a_second_image_of_any():
    album = album_of(300, limit=6)
    tiles = fill(album, by_cell(album.predictions, 5))
    assert all(len(found) == (row != column) for (row, column), found in tiles.items())


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (40, 100, 3), (300, 200, 4)])
def test_sheets_hold_images_of_any_shape(shape):
    images = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
    css = sheet_css(images, "t")
    assert css.count("background-position") == 7
    assert len(base64.b64decode(re.search(r"base64,([^)]*)", css)[1])) > 200


def test_a_page_of_large_images_stays_within_its_budget():
    side = tile_side((3, 224, 224))
    limit = tile_limit((3, 224, 224))
    assert side == 96
    images = np.random.default_rng(0).integers(0, 256, (limit, side, side, 3), dtype=np.uint8)
    assert len(sheet_css(images, "t")) < 1_500_000
