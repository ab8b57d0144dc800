"""What a plan is made for: a source's images, and which ways of learning the user's overrides leave open."""

from dataclasses import dataclass, replace
from typing import Any

from tenfold.core.errors import InputError
from tenfold.core.progress import Progress
from tenfold.data import Source, Splits, read_splits, typical_size
from tenfold.models.weights import local_weights
from tenfold.recipe import Composition, Overrides, Recipe, load_recipe
from tenfold.recipe.overrides import of_table
from tenfold.workbench.scaling import sizing

# What is learned from scratch by where nobody says how long it may take.
FROM_SCRATCH = "fast-90"
# Images whose shorter side is larger than this (pixels) are kept at the size that suits a backbone.
SMALL = 64


@dataclass(frozen=True)
class Task:
    """A source's images as a backbone takes them, its recipe, and how the fast recipes take them.

    `backbone` is None where one is `missing`, which says why; with `only_features` the user's `overrides` suit no
    other. `changes` are overrides for a fast recipe: `sizing`, and what the user said of `[data]`.
    """

    splits: Splits
    backbone: Recipe | None
    sizing: dict[str, Any]
    changes: dict[str, Any]
    overrides: Overrides
    missing: str = ""
    only_features: bool = False


def read_task(source: Source, seed: int, note: Progress, overrides: Overrides) -> Task:
    """Raises InputError where the source cannot be used."""
    # These decide which images may be looked at before a recipe is chosen.
    asked = Composition("backbone", of_table(overrides, "data"), beneath={"fit.seed": seed})
    recipe = asked.resolve()
    size = recipe.data.image_size or typical_size(recipe.data, source)
    if size <= SMALL:
        # As the fast recipes have it, so that the images are decoded only once.
        recipe = replace(asked, beneath={"fit.seed": seed, "data.unequal_size": SMALL}).resolve()
    own = load_recipe("fast-90").data.model_dump()
    said = {
        f"data.{key}": value
        for key, value in recipe.data.model_dump().items()
        if value != own[key] and key != "unequal_size"
    }
    scratch, features = (takes(load_recipe(name), overrides) for name in (FROM_SCRATCH, "backbone"))
    missing, only_features = "", features and not scratch
    if only_features:
        # Which backbone, and from where its weights come, is the user's to say.
        recipe = load_recipe(recipe, overrides)
    elif local_weights(recipe.model.options["backbone"]) is None:
        missing = "no weights of a backbone are on this machine"
    elif not features:
        missing = "the overrides given are not for a backbone"
    return Task(
        read_splits(recipe.data, source, note),
        None if missing else recipe,
        sizing(size),
        {**sizing(size), **said},
        overrides,
        missing,
        only_features,
    )


def takes(recipe: Recipe, overrides: Overrides) -> bool:
    """Whether a recipe understands all overrides."""
    try:
        load_recipe(recipe, overrides)
    except InputError:
        return False
    return True
