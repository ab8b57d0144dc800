"""The ladder of fast recipes: as much of one as there is time for, by what it was measured to take."""

import pytest
import torch

from tenfold.data import Source, read_splits
from tenfold.recipe import load_recipe
from tenfold.workbench import ladder
from tenfold.workbench.ladder import Rung, measure
from tenfold.workbench.scaling import epochs_for

CPU = torch.device("cpu")


@pytest.mark.parametrize("affordable", [0.4, 1.4, 30.0])
def test_the_clock_fills_the_time_until_more_epochs_would_teach_nothing(pictures, affordable):
    recipe = load_recipe("fast-72", {"fit.hardest": [1.0]})
    splits = read_splits(recipe.data, Source(str(pictures)))
    rung = Rung("fast-72", recipe, 0.01, 20.0, needed=1.0)
    scaled, words = rung.scaled(splits, 20.0 * affordable)
    assert scaled.fit.minutes == pytest.approx(20.0 * affordable / 60, abs=1e-3), "the clock holds always"
    if affordable == 30.0:
        assert scaled.fit.epochs == ladder.LONGEST
        assert "4.0 passes" in words
        assert words.endswith("more would teach it nothing")
    else:
        assert scaled.fit.epochs > affordable
        assert f"{affordable} passes" in words


def test_passes_are_counted_in_epochs_that_leave_images_out_and_rates_go_with_the_batch(pictures):
    recipe = load_recipe("fast-86", {"fit.hardest": [1.0, 0.5], "fit.scales": [1.0], "fit.batch_size": 500})
    assert [epochs_for(recipe, passes) for passes in (0.3, 1.0, 1.2, 2.5)] == [1, 1, 2, 4]
    splits = read_splits(recipe.data, Source(str(pictures)))
    rung = measure("fast-86", recipe, splits, CPU)
    assert rung.needed > sum(recipe.fit.shares(recipe.fit.epochs)), "few images take more passes"
    options, smaller = recipe.optimizer.options, rung.recipe.optimizer.options
    ratio = rung.recipe.fit.batch_size / 500
    assert ratio < 0.1
    assert smaller["lr"] == pytest.approx(options["lr"] * ratio**0.5)
    assert smaller["head_lr"] == pytest.approx(options["head_lr"] * ratio)


def test_testing_takes_the_longer_the_more_views_there_are_of_an_image(pictures):
    splits = read_splits(load_recipe("fast-94").data, Source(str(pictures)))
    one, six = (
        measure("fast-94", load_recipe("fast-94", {"model.views": views}), splits, CPU) for views in (1, 6)
    )
    assert six.test_seconds / six.image_seconds == pytest.approx(6 * one.test_seconds / one.image_seconds)
    assert six.pass_seconds / six.image_seconds > one.pass_seconds / one.image_seconds
