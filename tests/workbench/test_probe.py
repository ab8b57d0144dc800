"""What the probe finds out about data: which way suits it, whether mirrored images help, what to expect of all."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tenfold.data import Source, read_splits
from tenfold.recipe import load_recipe
from tenfold.workbench.probe import JUDGES, Evidence, Point, forecast, probe

CPU = torch.device("cpu")


def point(images: int, right: float, judges: int = 400) -> Point:
    """A point of a curve at which a share of the judges were right."""
    return Point(images, np.arange(judges) < right * judges, np.zeros(judges))


def arrows(folder, count: int):
    """Two classes that are each other's mirror image: wedges that point to the left and to the right."""
    generator = np.random.default_rng(0)
    for number in range(count):
        top, left = generator.integers(2, 8, 2)
        image = np.full((24, 24), generator.integers(0, 60), np.uint8)
        for row in range(13):
            reach = 1 + min(row, 12 - row)
            image[top + row, left : left + reach] = generator.integers(180, 255)
        for name, pixels in (("right", image), ("left", image[:, ::-1])):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name / f"{number}.png")
    return folder


def test_a_curve_is_extended_by_its_own_slope_once_it_has_one():
    few = forecast((point(250, 0.5),), 4000, "scratch")
    steep = forecast(tuple(point(250 * 2**k, 1 - 0.5 * 2 ** (-0.8 * k)) for k in range(4)), 4000, "scratch")
    flat = forecast(tuple(point(250 * 2**k, 0.5) for k in range(4)), 4000, "scratch")
    assert steep.variance < few.variance
    assert flat.accuracy < few.accuracy < steep.accuracy
    assert forecast((point(250, 0.5),), 250, "scratch").accuracy == pytest.approx(0.5, abs=0.01)


def test_what_is_far_ahead_on_few_images_is_ahead_by_many_standard_errors():
    ahead = Evidence((point(250, 0.3),), (point(250, 0.9),), True, "", 1000)
    behind = Evidence((point(250, 0.97),), (point(250, 0.85),), True, "", 1000)
    assert ahead.standard_errors > 2 > -2 > behind.standard_errors
    assert "90.0%" in ahead.words()


@pytest.mark.slow
def test_classes_that_are_mirror_images_are_not_mirrored_and_the_words_say_so(tmp_path):
    splits = read_splits(load_recipe("fast-86").data, Source(str(arrows(tmp_path, 150))))
    first = probe(splits, {}, None, CPU, 0)
    assert not first.mirror
    assert first.augment_words.startswith("mirroring harms")
    assert "larger shifts" in first.augment_words
    assert "changed colours" in first.augment_words
    assert first.scratch[-1].right.mean() > 0.9
    assert len(first.scratch[-1].right) <= JUDGES
    assert not first.features


@pytest.mark.slow
def test_no_test_image_is_looked_at_and_the_same_seed_finds_the_same(pictures):
    splits = read_splits(load_recipe("fast-86").data, Source(str(pictures)))
    found, same = (
        probe(replace(splits, test=splits.test.part(np.arange(count))), {}, None, CPU, 0) for count in (0, 1)
    )
    assert len(found.scratch[-1].right) == len(splits.validation) + len(splits.train) // 3
    assert found.augment_words == same.augment_words
    for one, other in zip(found.scratch, same.scratch, strict=True):
        assert (one.right == other.right).all()


def test_changes_that_helped_are_added_to_a_recipe_and_one_that_harms_is_taken_out():
    found = Evidence((), (), False, "", 100, added=("larger shifts", "changed colours"))
    changed = found.augmented(load_recipe("fast-90"))
    assert [one.name for one in changed.augment] == ["crop", "brightness", "contrast", "saturation"]
    assert changed.augment[0].options["padding"] == 4
    large = found.augmented(load_recipe("fast-90", {"data.image_size": 96}))
    assert large.augment[0].options["padding"] == 12
