"""Every component says what its options are."""

import pytest

from tenfold.recipe import load_recipe
from tenfold.recipe.components import COMPONENTS, components, options_of


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in COMPONENTS for name in components(kind)])
def test_every_component_says_the_type_of_each_option_and_has_a_default(kind, name, written):
    table = f'augment = [{{name = "{name}"}}]' if kind == "augment" else f'[{kind}]\nname = "{name}"'
    others = [f'[{other}]\nname = "{first}"' for other, first in MINIMUM.items() if other != kind]
    recipe = load_recipe(written("\n".join([table, *others])))
    choice = recipe.augment[0] if kind == "augment" else getattr(recipe, kind)
    assert choice.name == name
    options = options_of(components(kind)[name])
    assert choice.options.keys() == {key for key, option in options.items() if option.default is not None}


MINIMUM = {"model": "model-s", "optimizer": "sgd"}
