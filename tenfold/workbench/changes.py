"""Changes of training images that a probe asks about: mirroring, which fast recipes have, and what may be added."""

from collections.abc import Callable

from tenfold.recipe import Recipe, load_recipe

# Another way of changing the images that a recipe learns from.
Change = Callable[[Recipe], Recipe]
# The side of the images (pixels) whose recipe names no size.
_USUAL_SIZE = 32


def without_mirroring(recipe: Recipe) -> Recipe:
    """The recipe without its `flip`."""
    return recipe.model_copy(update={"augment": tuple(one for one in recipe.augment if one.name != "flip")})


def _larger_shifts(recipe: Recipe) -> Recipe:
    """With images shifted by up to an eighth of their side, the usual share for images of 32 pixels."""
    size = recipe.data.image_size or _USUAL_SIZE
    return load_recipe(recipe, {"augment.crop.padding": max(2, size // 8)})


def _changed_colours(recipe: Recipe) -> Recipe:
    """With brightness changed by up to a tenth of its range, contrast and saturation by up to 30 %."""
    factors = {"brightness": 0.1, "contrast": 0.3, "saturation": 0.3}
    tables = [{"name": name, "factor": factor} for name, factor in factors.items()]
    return load_recipe(recipe, {"augment": [*recipe.to_tables()["augment"], *tables]})


# What may be added, by what it is called.
CHANGES: dict[str, Change] = {"larger shifts": _larger_shifts, "changed colours": _changed_colours}
