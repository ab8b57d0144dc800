"""What is done about classes of unequal size where the recipe leaves it open (`fit.class_weights = "auto"`).

Measured by bench/imbalance.py, with the figures in docs/log.md: a logistic head on frozen features, which is solved
to its optimum, finds much more of the small classes by balanced weights, and macro F1 rises. For networks none of the
ways was better everywhere, and some were ruinous, so that nothing is done for them but to say so.
"""

from tenfold.data import Splits, class_counts
from tenfold.recipe import Recipe

# From so many times as many training images in the largest class as in the smallest on, heads' classes are weighed.
RATIO = 10.0


def balanced(recipe: Recipe, splits: Splits) -> Recipe:
    """The recipe with balanced class weights, where it solves a head, leaves them open, and classes are unequal.

    Nothing is done where the recipe says anything about such classes.
    """
    if not (is_open(recipe, splits) and recipe.solves_head):
        return recipe
    return recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"class_weights": "balanced"})})


def is_open(recipe: Recipe, splits: Splits) -> bool:
    """Whether the classes are far from equal, and the recipe says nothing about that."""
    said = recipe.fit.class_weights != "auto" or recipe.fit.balances
    return not said and ratio_of(splits) >= RATIO


def ratio_of(splits: Splits) -> float:
    """How many times as many training images the largest class has as the smallest."""
    counts = class_counts(splits.train, len(splits.class_names))
    return max(counts) / min(counts)


def balanced_words(recipe: Recipe, splits: Splits) -> str:
    """What `balanced` made of classes far from equal, in one line; empty where they are not, or more was said."""
    unequal = f"classes of unequal size (1 to {ratio_of(splits):.0f})"
    if is_open(recipe, splits):
        return (
            f"{unequal} count by their images; `fit.sampler=balanced fit.hardest=[1.0]` finds more of the small ones "
            "in most trainings, at a cost to the large ones: compare the two runs"
        )
    if recipe.solves_head and recipe.fit.class_weights == "balanced" and ratio_of(splits) >= RATIO:
        return (
            f"{unequal}: fit.class_weights=balanced makes each count the same in training; fit.class_weights=none "
            "leaves them as they are"
        )
    return ""
