"""A base and layers of changes, put together once and checked once."""

import pytest
from recipe_texts import BASE

from tenfold.core.errors import InputError
from tenfold.recipe import Composition, builtin_recipes, load_recipe, parse_recipe


def test_a_recipe_that_is_not_there_is_named_with_its_neighbour(tmp_path):
    with pytest.raises(
        InputError, match=r"no recipe 'digit' \(did you mean 'digits'\?\), and no folder of that name"
    ):
        load_recipe("digit")
    with pytest.raises(InputError, match=r"none\.toml: there is no such recipe file"):
        load_recipe(tmp_path / "none.toml")


def test_a_mapping_and_a_recipe_do_as_well_as_texts_and_a_name():
    texts = load_recipe("digits", ["model.filters=[4, 8]", "stop.patience=none", "optimizer.name=sgd"])
    mapping = {"model.filters": (4, 8), "stop.patience": None, "optimizer.name": "sgd"}
    assert load_recipe("digits", mapping) == texts
    assert load_recipe(load_recipe("digits"), mapping) == texts
    assert load_recipe(texts, {"optimizer.nesterov": True}).optimizer.options["nesterov"] is True
    with pytest.raises(InputError, match=r"^the recipe cannot be used:\n  fit.epochs='5'"):
        load_recipe(texts, {"fit.epochs": "5"})


def test_layers_come_one_over_the_other_and_are_checked_once_with_all_their_faults(written):
    path = written(BASE)
    asked = Composition(
        path, iter(["fit.seed=1", "fit.epochs=3"]), 7, 2, {"fit.epochs": 9, "fit.batch_size": 5}
    )
    recipe = asked.resolve()
    assert asked.resolve() == recipe, "an iterator of overrides is read once and kept"
    assert (recipe.fit.seed, recipe.fit.epochs, recipe.fit.batch_size, recipe.fit.minutes) == (7, 3, 5, 2.0)
    assert asked.name == "mine"
    assert Composition(recipe).name == "recipe"
    one_by_one = load_recipe(load_recipe(load_recipe(path, asked.beneath), asked.overrides), {"fit.seed": 7})
    assert load_recipe(one_by_one, {"fit.minutes": 2.0}) == recipe
    with pytest.raises(InputError) as caught:
        Composition("digits", ["fit.epochs=few", "model.nonsense=1"], seed=-1, minutes=-2).resolve()
    title, *lines = str(caught.value).splitlines()
    assert title == "recipe 'digits' cannot be used:"
    assert sorted(line.split("=")[0].split(":")[0].strip() for line in lines) == [
        "fit.epochs",
        "fit.minutes",
        "fit.seed",
        "model.nonsense",
    ]


@pytest.mark.parametrize("name", builtin_recipes())
def test_a_recipe_is_the_same_as_a_base_as_its_toml(name):
    recipe = load_recipe(name)
    assert load_recipe(recipe) == parse_recipe(recipe.to_toml()) == recipe
