"""Near copies are found however many there are, and nothing else is."""

import numpy as np
import pytest
from changed import CHANGES, jittered
from images import darker, scene
from PIL import Image
from scipy.ndimage import zoom

from tenfold.data.likeness import near_copies


@pytest.fixture(scope="module")
def crowd() -> np.ndarray:
    return np.stack([scene(i) for i in range(1000)])


def pairs_of(pixels: np.ndarray) -> set[tuple[int, ...]]:
    pairs, likeness = near_copies(pixels, np.arange(len(pixels)))
    assert likeness.min(initial=1) >= 0.77
    return set(map(tuple, pairs.tolist()))


@pytest.mark.parametrize("name", [name for name in CHANGES if not name.startswith("cropped")])
@pytest.mark.parametrize("count", [40, 600])
def test_changed_copies_are_near_copies_and_nothing_else_is(crowd, name, count):
    pixels = crowd[:count].copy()
    pixels[[5, 31]] = [CHANGES[name](pixels[20]), CHANGES[name](pixels[1])]
    assert pairs_of(pixels) == {(1, 31), (5, 20)}


@pytest.mark.parametrize("copied", [100, 600, 1000])
@pytest.mark.parametrize("name", ["brightened by 30 %", "rotated by 5 degrees"])
def test_they_are_found_however_many_there_are(crowd, copied, name):
    """The search of version 0.1 judged by what is usual, and copies made themselves usual."""
    pixels = np.concatenate([crowd, np.stack([CHANGES[name](image) for image in crowd[:copied]])])
    found = pairs_of(pixels)
    expected = {(i, 1000 + i) for i in range(copied)}
    assert len(expected & found) >= 0.98 * copied
    assert not found - expected


@pytest.mark.slow
def test_frames_of_few_pictures_are_connected(crowd):
    pixels = np.stack([jittered(crowd[n // 25], n) for n in range(1000)])
    found = pairs_of(pixels)
    assert all(a // 25 == b // 25 for a, b in found)
    linked = {place for pair in found for place in pair}
    assert len(linked) > 990


def test_no_picture_has_too_many_partners(crowd):
    """Two hundred copies of one picture must not give all twenty thousand pairs."""
    pixels = np.concatenate([np.stack([jittered(crowd[1], n) for n in range(200)]), crowd[2:300]])
    pairs, _ = near_copies(pixels, np.arange(len(pixels)))
    assert len(pairs) <= 200 * 5
    assert pairs.max() < 200


@pytest.mark.slow
def test_handwritten_digits_are_alike_and_no_copies(digits):
    """Strokes correlate as two photographs never do: of 1.6 million pairs, next to none may be taken for copies."""
    pixels = np.stack([zoom(digits.train.pixels[row, ..., 0], 3.5, order=1) for row in range(1797)])[
        ..., None
    ]
    assert len(pairs_of(pixels)) <= 4
    twice = np.concatenate([pixels[:500], CHANGES["rotated by 5 degrees"](pixels[7])[None]])
    assert (7, 500) in pairs_of(twice)


def test_what_a_fixed_camera_always_sees_is_no_evidence(crowd):
    """Small things before one background: each picture is nearly the others, and none is a copy."""
    generator = np.random.default_rng(0)
    pixels = np.repeat(crowd[:1], 300, 0).astype(float) + generator.normal(0, 3, (300, 32, 32, 3))
    for image in pixels:
        y, x = generator.integers(4, 22, 2)
        image[y : y + 7, x : x + 7] += generator.normal(0, 60, (7, 7, 3))
    assert not pairs_of(np.clip(pixels, 0, 255).astype(np.uint8))


def test_blank_pictures_are_no_near_copies_of_each_other():
    assert not pairs_of(np.stack([np.full((32, 32, 3), value, np.uint8) for value in range(0, 250, 5)]))


def test_oblong_large_and_gray_pictures(crowd):
    large = np.stack([np.asarray(Image.fromarray(image).resize((100, 70))) for image in crowd[:50]])
    large[30] = darker(large[7])
    assert pairs_of(large) == {(7, 30)}
    assert pairs_of(large[..., :1]) == {(7, 30)}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_hardly_any_pictures(crowd, count):
    assert pairs_of(crowd[:count]) == set()
