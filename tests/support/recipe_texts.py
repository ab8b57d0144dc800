"""The least that a recipe file says, and what is wrong with one."""

import pytest

from tenfold.core.errors import InputError
from tenfold.recipe import load_recipe

BASE = '[model]\nname = "model-s"\n[optimizer]\nname = "sgd"\n'


def faults(recipe, *overrides: str) -> list[str]:
    """The lines of the error, each one fault, without the title."""
    with pytest.raises(InputError) as caught:
        load_recipe(recipe, overrides)
    title, *lines = str(caught.value).split("\n")
    assert "cannot be used:" in title
    return [line.strip() for line in lines]
