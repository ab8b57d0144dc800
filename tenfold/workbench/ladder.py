"""The fast recipes as a ladder: how fast each learns here, and as much of it as there is time for."""

from dataclasses import dataclass
from typing import Any

import torch

from tenfold.data import Splits
from tenfold.recipe import Recipe, load_recipe
from tenfold.workbench.candidates import image_seconds
from tenfold.workbench.clock import Clock, in_minutes, spoken
from tenfold.workbench.improve import predicted
from tenfold.workbench.scaling import batched, epochs_for, passes_needed

# From the quickest to the most accurate; each recipe's own epochs are those it takes on so many images.
LADDER = ("fast-72", "fast-86", "fast-90", "fast-94")
# How much smaller each recipe's error is than that of the probe's, in logarithms: on CIFAR-10 (docs/results.md).
RUNG_GAINS = {"fast-72": -0.67, "fast-86": 0.0, "fast-90": 0.35, "fast-94": 0.86}
# A run longer than this many times a recipe's own epochs teaches it nothing more.
LONGEST = 4
# What is kept back for an image that is predicted: times of one that is learned from.
_TEST_SHARE = 0.6


@dataclass(frozen=True)
class Rung:
    """A recipe of the ladder, its measured seconds, and how many passes over the training images it takes to learn.

    `pass_seconds` are those of all training images once, at their full size, and of a validation; `needed` counts
    such passes, so that one over smaller images is less than one.
    """

    name: str
    recipe: Recipe
    image_seconds: float
    pass_seconds: float
    needed: float

    @property
    def test_seconds(self) -> float:
        """For an image that is tested, by all of its views."""
        return _TEST_SHARE * _views(self.recipe) * self.image_seconds

    def left(self, splits: Splits, clock: Clock) -> float:
        """Seconds for training and validation; below 0 where testing and the report take all there is."""
        return clock.left - predicted(splits) * self.test_seconds

    def enough(self, splits: Splits, clock: Clock) -> bool:
        """Whether there is time for the recipe's own epochs."""
        return self.left(splits, clock) >= self.needed * self.pass_seconds

    def scaled(self, splits: Splits, left: float) -> tuple[Recipe, str]:
        """The recipe for the seconds that are `left`, and the plan in words.

        It has as many passes as there is time for and as teach anything. The clock always has the last word, within
        an epoch if need be.
        """
        passes = left / self.pass_seconds
        most = max(1.0, LONGEST * self.needed)
        changes: dict[str, Any] = {"fit.minutes": in_minutes(left)}
        if most < 0.8 * passes:
            passes, end = most, "; more would teach it nothing"
            changes["fit.epochs"] = epochs_for(self.recipe, passes)
        else:
            # Twice the epochs leave room for a machine that gets faster.
            changes["fit.epochs"], end = 2 * epochs_for(self.recipe, passes), ""
        _, height, width = splits.image_shape
        epochs = epochs_for(self.recipe, passes)
        seen = passes * sum(self.recipe.fit.shares(epochs)) / sum(self.recipe.fit.work(epochs))
        words = (
            f"{self.name}, about {seen:.{0 if seen >= 10 else 1}f} passes over {len(splits.train):,} images of "
            f"{height}x{width}: {spoken(passes * self.pass_seconds)} at the {1 / self.image_seconds:,.0f} images/s "
            f"measured{end}"
        )
        return load_recipe(self.recipe, changes), words


def measure(name: str, recipe: Recipe, splits: Splits, device: torch.device) -> Rung:
    """A recipe of the ladder with batches for so many images, and its speed on this machine."""
    images = len(splits.train)
    recipe = batched(recipe, images)
    seconds = image_seconds(recipe, splits, device)
    needed = passes_needed(recipe, images)
    judged = min(len(splits.validation), recipe.stop.sample or len(splits.validation))
    return Rung(name, recipe, seconds, (images + _views(recipe) * judged / 3) * seconds, needed)


def _views(recipe: Recipe) -> int:
    """How many views of an image are predicted."""
    return recipe.model.options.get("views", 1)
