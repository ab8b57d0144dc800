"""What a plan is made for: a source's images, and which ways of learning the user's overrides leave open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.core.errors import InputError
from tenfold.core.progress import Progress
from tenfold.data import Source, Splits, load_splits, typical_size
from tenfold.models.weights import local_weights
from tenfold.recipe import Recipe, load_recipe
from tenfold.workbench.scaling import sizing

# What is learned from scratch by where nobody says how long it may take.
FROM_SCRATCH = "fast-90"
# Images whose shorter side is larger than this (pixels) are kept at the size that suits a backbone.
SMALL = 64

# Overrides of a recipe, as `load_recipe` takes them.
Overrides = Iterable[str] | Mapping[str, Any]


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
    data = _of_data(overrides)
    recipe = load_recipe(load_recipe("backbone", {"fit.seed": seed}), data)
    size = recipe.data.image_size or typical_size(source)
    if size <= SMALL:
        # As the fast recipes have it, so that the images are decoded only once.
        recipe = load_recipe(load_recipe(recipe, {"data.unequal_size": SMALL}), data)
    own = load_recipe("fast-90").data.model_dump()
    said = {
        f"data.{key}": value
        for key, value in recipe.data.model_dump().items()
        if value != own[key] and key != "unequal_size"
    }
    scratch, features = (takes(load_recipe(name), overrides) for name in (FROM_SCRATCH, "backbone"))
    missing = ""
    if local_weights(recipe.model.options["backbone"]) is None:
        missing = "no weights of a backbone are on this machine"
    elif scratch and not features:
        missing = "the overrides given are not for a backbone"
    return Task(
        load_splits(recipe.data, source, note),
        None if missing else recipe,
        sizing(size),
        {**sizing(size), **said},
        overrides,
        missing,
        features and not scratch and not missing,
    )


def _of_data(overrides: Overrides) -> Overrides:
    """Those of the table `[data]`: they decide which images may be looked at before a recipe is chosen."""
    if isinstance(overrides, Mapping):
        return {key: value for key, value in overrides.items() if key.partition(".")[0] == "data"}
    return [text for text in overrides if text.partition("=")[0].partition(".")[0].strip() == "data"]


def takes(recipe: Recipe, overrides: Overrides) -> bool:
    """Whether a recipe understands all overrides."""
    try:
        load_recipe(recipe, overrides)
    except InputError:
        return False
    return True
