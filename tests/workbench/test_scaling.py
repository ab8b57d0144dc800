"""A fast recipe scaled to other images."""

from tenfold.recipe import load_recipe
from tenfold.workbench.changes import without_mirroring
from tenfold.workbench.scaling import scaled_to


def test_a_fast_recipe_is_scaled_to_few_images_and_left_as_it_is_for_many():
    recipe = load_recipe("fast-90")
    assert scaled_to(recipe, 40_000) == recipe
    few = scaled_to(recipe, 2_000)
    assert few.fit.epochs > recipe.fit.epochs
    assert few.fit.batch_size < recipe.fit.batch_size
    assert [one.name for one in without_mirroring(recipe).augment] == ["crop"]
