import io

import numpy as np
import pytest
from images import darker, scene
from PIL import Image

from tenfold.data.duplicates import exact_duplicates, near_duplicates


@pytest.fixture(scope="module")
def crowd() -> np.ndarray:
    return np.stack([scene(i) for i in range(600)])


def test_exact_duplicates_are_groups_of_equal_hashes():
    pictures = np.arange(600, dtype=np.uint64)[::-1].copy()
    pictures[[100, 500]] = pictures[3]
    pictures[7] = pictures[599]
    assert [group.tolist() for group in exact_duplicates(pictures)] == [[3, 100, 500], [7, 599]]
    assert exact_duplicates(pictures[4:500]) == []
    assert exact_duplicates(pictures[:0]) == []


def shifted(image: np.ndarray) -> np.ndarray:
    return np.roll(image, (1, -1), (0, 1))


def tinted(image: np.ndarray) -> np.ndarray:
    return np.clip(image * np.array([1.0, 0.8, 0.7]), 0, 255).astype(np.uint8)


def compressed(image: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream))


def resampled(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((32, 32), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("change", [shifted, darker, tinted, compressed, resampled])
@pytest.mark.parametrize("count", [40, 600])
def test_changed_copies_are_near_duplicates_and_nothing_else_is(crowd, change, count):
    pixels = crowd[:count].copy()
    pixels[[5, 31]] = [change(pixels[20]), change(pixels[1])]
    pairs, similarity, usual = near_duplicates(pixels, np.arange(count))
    assert sorted(map(tuple, pairs.tolist())) == [(1, 31), (5, 20)]
    assert similarity.min() > 0.75
    assert usual < 0.5


def test_no_image_has_too_many_partners():
    """Two hundred copies of one picture must not give all twenty thousand pairs."""
    generator = np.random.default_rng(0)
    copies = np.stack([scene(1)] * 200).astype(int) + generator.integers(-3, 4, (200, 32, 32, 3))
    pixels = np.concatenate(
        [np.clip(copies, 0, 255).astype(np.uint8), np.stack([scene(i) for i in range(2, 300)])]
    )
    pairs, _, _ = near_duplicates(pixels, np.arange(len(pixels)))
    assert len(pairs) <= 200 * 8
    assert pairs.max() < 200


def test_pictures_that_are_alike_anyway_are_no_duplicates(digits):
    """Handwritten digits resemble each other; the usual similarity says so, and raises the threshold."""
    rows = np.concatenate([split.rows for split in digits])
    pairs, _, usual = near_duplicates(np.repeat(np.repeat(digits.train.pixels, 4, 1), 4, 2), rows)
    assert usual > 0.75
    assert len(pairs) < 40


def test_blank_pictures_are_no_near_duplicates_of_each_other():
    pixels = np.stack([np.full((32, 32, 3), value, np.uint8) for value in range(0, 250, 5)])
    assert len(near_duplicates(pixels, np.arange(len(pixels)))[0]) == 0


def test_oblong_and_large_pictures(crowd):
    large = np.stack([np.asarray(Image.fromarray(image).resize((100, 70))) for image in crowd[:50]])
    large[30] = darker(large[7])
    assert near_duplicates(large, np.arange(50))[0].tolist() == [[7, 30]]
