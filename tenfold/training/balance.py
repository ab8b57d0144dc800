"""What is done about classes of unequal size where the recipe leaves it open (`fit.class_weights = "auto"`)."""

from tenfold.data import Splits, class_counts
from tenfold.recipe import Recipe

# From so many times as many training images in the largest class as in the smallest on, classes are weighed: what
# that is worth, and costs, was measured by bench/imbalance.py (docs/log.md).
RATIO = 10.0


def balanced(recipe: Recipe, splits: Splits) -> Recipe:
    """The recipe with balanced class weights, where it leaves them open and the classes are far from equal.

    Nothing is done where the recipe says anything about such classes.
    """
    if recipe.fit.class_weights != "auto" or recipe.fit.balances or ratio_of(splits) < RATIO:
        return recipe
    return recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"class_weights": "balanced"})})


def ratio_of(splits: Splits) -> float:
    """How many times as many training images the largest class has as the smallest."""
    counts = class_counts(splits.train, len(splits.class_names))
    return max(counts) / min(counts)


def balanced_words(recipe: Recipe, splits: Splits) -> str:
    """What `balanced` did, in one line; empty where nothing was to do."""
    if recipe.fit.class_weights != "balanced" or ratio_of(splits) < RATIO:
        return ""
    return (
        f"classes of unequal size (1 to {ratio_of(splits):.0f}): fit.class_weights=balanced makes each count the "
        "same in training; fit.class_weights=none leaves them as they are"
    )
