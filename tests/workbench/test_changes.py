"""Changes of training images that a probe asks about."""

import pytest

from tenfold.recipe import load_recipe
from tenfold.workbench.changes import CHANGES, without_mirroring


def test_mirroring_alone_is_taken_out():
    recipe = load_recipe("fast-90")
    changed = without_mirroring(recipe)
    assert "flip" in [one.name for one in recipe.augment]
    assert list(changed.augment) == [one for one in recipe.augment if one.name != "flip"]
    assert without_mirroring(changed) == changed


@pytest.mark.parametrize(("size", "padding"), [(None, 4), (8, 2), (96, 12)])
def test_shifts_go_up_to_an_eighth_of_the_side(size, padding):
    recipe = load_recipe("fast-90", {} if size is None else {"data.image_size": size})
    (crop,) = [one for one in CHANGES["larger shifts"](recipe).augment if one.name == "crop"]
    assert crop.options["padding"] == padding


def test_colours_are_added_to_what_there_is():
    recipe = load_recipe("fast-90")
    changed = CHANGES["changed colours"](recipe)
    assert changed.augment[: len(recipe.augment)] == recipe.augment
    added = {one.name: one.options["factor"] for one in changed.augment[len(recipe.augment) :]}
    assert added == {"brightness": 0.1, "contrast": 0.3, "saturation": 0.3}
