"""A fast recipe scaled to other images."""

import pytest

from tenfold.recipe import load_recipe
from tenfold.workbench.changes import without_mirroring
from tenfold.workbench.scaling import batched, epochs_for, passes_needed, scaled_to, sizing


def test_a_fast_recipe_is_scaled_to_few_images_and_left_as_it_is_for_many():
    recipe = load_recipe("fast-90")
    assert scaled_to(recipe, 40_000) == recipe
    few = scaled_to(recipe, 2_000)
    assert few.fit.epochs > recipe.fit.epochs
    assert few.fit.batch_size < recipe.fit.batch_size
    assert [one.name for one in without_mirroring(recipe).augment] == ["crop"]


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (8, {"data.image_size": 32}),
        (28, {}),
        (40, {}),
        (64, {"data.image_size": 64, "model.stride": 2, "model.patch": 4}),
        (400, {"data.image_size": 128, "model.stride": 4, "model.patch": 8}),
    ],
)
def test_images_are_brought_to_sizes_that_the_network_takes(size, changes):
    assert sizing(size) == changes
    load_recipe("fast-90", sizing(size))


def test_fewer_images_take_more_passes_but_fewer_steps():
    recipe = load_recipe("fast-90")
    passes = [passes_needed(recipe, images) for images in (500, 5_000, 40_000, 100_000)]
    assert passes == sorted(passes, reverse=True)
    assert passes[2] == passes[3] == pytest.approx(sum(recipe.fit.work(recipe.fit.epochs)))
    assert passes[0] * 500 < passes[1] * 5_000 < passes[2] * 40_000


def test_epochs_are_as_many_as_come_to_the_passes():
    recipe = load_recipe("fast-90", ["fit.hardest=[1, 0.5]", "fit.scales=[1]"])
    assert [epochs_for(recipe, passes) for passes in (0.5, 1, 1.2, 2, 2.01)] == [1, 1, 2, 3, 4]


def test_smaller_batches_have_the_rates_that_go_with_them():
    recipe = load_recipe("fast-90", ["fit.batch_size=512"])
    small = batched(recipe, 128 * 40)
    assert small.fit.batch_size == 128
    own, found = recipe.optimizer.options, small.optimizer.options
    assert found["lr"] == pytest.approx(own["lr"] / 2)
    for name in ("other_lr", "head_lr", "weight_decay"):
        assert found[name] == pytest.approx(own[name] / 4)
    assert batched(recipe, 10).fit.batch_size == 32
    assert batched(recipe, 10**6).optimizer == recipe.optimizer
