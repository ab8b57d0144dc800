"""A fast recipe scaled to other images than CIFAR-10's: their size, and how many of them there are."""

from itertools import count
from typing import Any

import numpy as np

from tenfold.recipe import Recipe, load_recipe

# Each fast recipe's own epochs and batches are those for so many images.
LADDER_IMAGES = 40_000
# A smaller set still is learned in so many steps an epoch, with batches of so many images at least.
_STEPS, _LEAST_BATCH = 40, 32


def sizing(size: int) -> dict[str, Any]:
    """Overrides for images whose shorter side is `size` pixels.

    Tiny images are enlarged, so that something is left after the poolings; large ones have at most 128 pixels, and a
    stem that leaves the blocks about 32 to work on.
    """
    if size < 16:
        return {"data.image_size": 32}
    if size <= 40:
        return {}
    size = min(size, 128)
    stride = round(size / 32)
    return {"data.image_size": size, "model.stride": stride, "model.patch": max(2, 2 * stride)}


def scaled_to(recipe: Recipe, images: int) -> Recipe:
    """A fast recipe with the batches, rates and epochs for so many training images; its own for 40,000 or more."""
    changes = _batches(recipe, images)
    if images < LADDER_IMAGES:
        changes["fit.epochs"] = epochs_for(recipe, passes_needed(recipe, images))
    return load_recipe(recipe, changes)


def batched(recipe: Recipe, images: int) -> Recipe:
    """The recipe with smaller batches for few images, and with the rates that go with them."""
    return load_recipe(recipe, _batches(recipe, images))


def _batches(recipe: Recipe, images: int) -> dict[str, Any]:
    """Overrides: the batch size for so many images, and its rates."""
    batch = min(recipe.fit.batch_size, max(_LEAST_BATCH, 2 ** int(np.log2(max(images, 2) / _STEPS))))
    return {"fit.batch_size": batch, **_rates(recipe, batch / recipe.fit.batch_size)}


def passes_needed(recipe: Recipe, images: int) -> float:
    """How many passes over so many images, at their full size, it takes to learn from them.

    Fewer images take more passes, though fewer steps: a rule of thumb, with the square root between the two.
    """
    own = max(1.0, sum(recipe.fit.work(recipe.fit.epochs)))
    return own * max(1.0, LADDER_IMAGES / images) ** 0.5


def epochs_for(recipe: Recipe, passes: float) -> int:
    """The epochs of `recipe` that come to so many passes over all training images at their full size."""
    return next(epochs for epochs in count(1) if sum(recipe.fit.work(epochs)) >= passes - 1e-9)


def _rates(recipe: Recipe, ratio: float) -> dict[str, float]:
    """Muon's rates where a batch is `ratio` times the recipe's own: a kernel's goes with the root of it."""
    options = recipe.optimizer.options
    rates = {f"optimizer.{name}": options[name] * ratio for name in ("other_lr", "head_lr", "weight_decay")}
    return {"optimizer.lr": options["lr"] * ratio**0.5, **rates}
