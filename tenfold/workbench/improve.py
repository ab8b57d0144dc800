"""What the minutes are used for that are left once a first head on features is ready, and what is kept of it.

Larger images, a larger backbone and fine-tuning are tried in turn, each only where there is time for it. A step is
kept where the validation images show it to be better beyond chance; each says in one line what became of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tenfold.data import Splits
from tenfold.models.weights import PACKAGES, local_weights
from tenfold.recipe import Composition, Overrides, Recipe, load_recipe
from tenfold.training.method import JUDGED
from tenfold.workbench.candidates import Candidate, compare, image_seconds, learn
from tenfold.workbench.changes import without_mirroring
from tenfold.workbench.clock import EXPORT_FIGURES, Clock, spoken
from tenfold.workbench.progress import Display
from tenfold.workbench.task import Task, takes

# What a backbone is given, largest first (pixels a side): the smaller, the faster and the less accurate.
BACKBONE_SIZES = (224, 192, 160, 128, 96)
# What most backbones take where the recipe names no size.
_USUAL_SIDE = 224
# What is left may be used for other features up to this share, where the rest will do for fine-tuning, which gains
# more, and where it will not.
_SMALL_SHARE, _LARGE_SHARE = 0.25, 0.75
# What an image takes that a backbone's last stages learn from, in times of one whose features are computed: 4.4 with
# Lite0 at 128 pixels on a CPU.
_TUNING_WORK = 5
# Pixels a side that a fine-tuning takes at least.
_SMALLEST = 128
# It takes the largest size at which it has so many epochs, and with fewer than the least is not begun.
# More than the most, or than so many steps, teach it nothing more.
_GOOD_EPOCHS, _LEAST_EPOCHS, _MOST_EPOCHS, _MOST_STEPS = 8, 4, 40, 1000
# With fewer validation images no step could show itself to be better.
_FEWEST_JUDGES = 10
# How many training and validation images are predicted for the run's contract, at most, beside the splits themselves.
_SAMPLES = 2000


@dataclass(frozen=True)
class Setting:
    """What steps are taken in: the images, the time, what the probe found, and who hears of it.

    `rate` is how many images a second pass the backbone of the task's recipe, at its own size.
    """

    task: Task
    clock: Clock
    device: torch.device
    display: Display
    mirror: bool
    rate: float

    def seconds(self, recipe: Recipe, images: int) -> float:
        """What features of so many images take by a recipe that has not been tried yet."""
        assert self.task.backbone is not None
        own, options = self.task.backbone.model.options, recipe.model.options
        slower = _work(options["backbone"]) / _work(own["backbone"])
        pixels = (side(recipe) / side(self.task.backbone)) ** 2
        return images / self.rate * slower * pixels * options["views"]


def side(recipe: Recipe) -> int:
    """Pixels a side that a recipe's backbone is given; the usual ones, where it takes its own."""
    return recipe.model.options["image_size"] or _USUAL_SIDE


# An image's work in a backbone, in times of Lite0's (docs/results.md: images per CPU-second).
_WORK = {"tf_efficientnet_lite0": 1.0, "tf_efficientnet_lite1": 1.35, "tf_efficientnet_lite2": 1.45}


def _work(backbone: str) -> float:
    return _WORK.get(backbone, 1.0)


def improve(first: Candidate, setting: Setting) -> Candidate:
    """The best that comes of `first` in the time there is. Each step says in one line what became of it."""
    best, judges = first, len(first.right)
    if judges < _FEWEST_JUDGES or first.right.all():
        reason = "all are right" if first.right.all() else "too few"
        setting.display.said(
            "plan",
            f"{judges} validation images, {reason}: nothing more can be gained that they would show; ends early",
        )
        return first
    for step in STEPS:
        best = step(best, setting)
    left = _left(best, setting)
    if left > 0.15 * (setting.clock.end - time.perf_counter() + 1):
        setting.display.said(
            "plan",
            f"{spoken(left)} are left: what there is to try, in the time there is, was tried; ends early",
        )
    return best


def _left(best: Candidate, setting: Setting) -> float:
    """Seconds for another step: what testing the best one takes is kept back."""
    testing = setting.seconds(best.recipe, len(setting.task.splits.test)) if best.fitting.features else 0.0
    return setting.clock.left - testing


def _larger_images(best: Candidate, setting: Setting) -> Candidate:
    """The head of the largest images whose features take a small part of what is left."""
    own = side(best.recipe)
    return _first_in_time(
        best, setting, [{"model.image_size": size} for size in BACKBONE_SIZES if size > own]
    )


def _larger_backbone(best: Candidate, setting: Setting) -> Candidate:
    """The head of a larger backbone whose weights are here, where its features take a small part of what is left."""
    own = best.recipe.model.options["backbone"]
    larger = [name for name in reversed(PACKAGES) if _work(name) > _work(own) and local_weights(name)]
    return _first_in_time(best, setting, [{"model.backbone": name} for name in larger])


def _first_in_time(best: Candidate, setting: Setting, changes: list[dict[str, Any]]) -> Candidate:
    """The first change of a head's recipe for which there is time, if it is better."""
    images = len(setting.task.splits.train) + len(setting.task.splits.validation)
    share = _features_share(best, setting)
    for change in changes:
        recipe = _changed(best.recipe, change, setting.task.overrides)
        if recipe is None:
            return best
        seconds = setting.seconds(recipe, images) + EXPORT_FIGURES * setting.clock.figure
        testing = setting.seconds(recipe, len(setting.task.splits.test))
        left = min(_left(best, setting), setting.clock.left - testing)
        if seconds < share * left:
            what = " ".join(
                f"{value} pixels" if isinstance(value, int) else value for value in change.values()
            )
            return _tried(what, recipe, best, setting, time.perf_counter() + min(2 * share, 1.0) * left)
    return best


def _features_share(best: Candidate, setting: Setting) -> float:
    """The share of what is left that other features may take: a small one where fine-tuning will have time."""
    smallest = _changed(best.recipe, {"model.image_size": _SMALLEST}, ()) or best.recipe
    epoch = _TUNING_WORK * setting.seconds(smallest, len(setting.task.splits.train))
    return _SMALL_SHARE if _GOOD_EPOCHS * epoch < (1 - _SMALL_SHARE) * setting.clock.left else _LARGE_SHARE


def _fine_tune(best: Candidate, setting: Setting) -> Candidate:
    """The backbone's last stages trained further, for all the time that is left or that teaches anything."""
    recipes = _tunings(best, setting)
    if not recipes:
        return best
    splits, smallest = setting.task.splits, min(recipes)
    measured = image_seconds(recipes[smallest], splits, setting.device)
    for size in sorted(recipes, reverse=True):
        there = measured * (size / smallest) ** 2
        left = _left(best, setting) - JUDGED * there * predicted(splits)
        epochs = left / (there * (len(splits.train) + JUDGED * len(splits.validation)))
        if epochs >= (_GOOD_EPOCHS if size > smallest else _LEAST_EPOCHS):
            break
    else:
        setting.display.said("tried", "fine-tuning: there is no time for it")
        return best
    batches = -(-len(splits.train) // recipes[size].fit.batch_size)
    most = max(_MOST_EPOCHS, _MOST_STEPS // batches)
    # Twice the epochs leave room for a machine that gets faster; the clock has the last word.
    recipe = load_recipe(recipes[size], {"fit.epochs": max(1, int(min(2 * epochs, most)))})
    recipe = load_recipe(recipe, setting.task.overrides)
    what = f"fine-tuning at {size} pixels, about {min(epochs, recipe.fit.epochs):.0f} epochs"
    return _tried(what, recipe, best, setting, time.perf_counter() + left)


def _tunings(best: Candidate, setting: Setting) -> dict[int, Recipe]:
    """By image size, the recipes that train the best one's backbone further; none where the overrides forbid it."""
    own = side(best.recipe)
    sizes = [size for size in BACKBONE_SIZES if size >= min(_SMALLEST, own)] or [own]
    found = [_tuning(best, setting, size) for size in sizes]
    return {side(recipe): recipe for recipe in found if recipe is not None}


def predicted(splits: Splits) -> int:
    """How many images are predicted once training is done, which takes time where a backbone was trained."""
    train, validation, test = (len(split) for split in splits)
    return validation + test + min(_SAMPLES, train) + min(_SAMPLES, validation)


def _tuning(best: Candidate, setting: Setting, size: int) -> Recipe | None:
    """A recipe that trains the best one's backbone further; None where the user's overrides are not for one."""
    options, fit = best.recipe.model.options, best.recipe.fit
    recipe = load_recipe(
        "fine-tune",
        {
            **{f"model.{key}": options[key] for key in ("backbone", "weights")},
            **{"model.image_size": size, "model.gradual": 0},
            **{"fit.batch_size": 32, "fit.seed": fit.seed},
        },
    )
    recipe = recipe.model_copy(update={"data": best.recipe.data})
    recipe = recipe if setting.mirror else without_mirroring(recipe)
    overrides = setting.task.overrides
    if not takes(recipe, overrides) or load_recipe(recipe, overrides).model.options["unfreeze"] == 0:
        return None
    return load_recipe(recipe, overrides)


def _changed(recipe: Recipe, change: dict[str, Any], overrides: Overrides) -> Recipe | None:
    """The recipe with a change; None where the user's overrides leave nothing of it."""
    changed = Composition(recipe, overrides, beneath=change).resolve()
    return None if changed.model == recipe.model else changed


def _tried(what: str, recipe: Recipe, best: Candidate, setting: Setting, until: float) -> Candidate:
    """The better of the two, and a line about it."""
    began = time.perf_counter()
    with setting.display.decoding(what) as note:
        found = learn(recipe, setting.task.splits, setting.device, until, note)
    if found is None:
        setting.display.said("tried", f"{what}: would have ended too late, left")
        return best
    verdict = compare(found, best)
    setting.display.said("tried", f"{what}: {verdict.words}; {spoken(time.perf_counter() - began)}")
    return found if verdict.better else best


STEPS: tuple[Callable[[Candidate, Setting], Candidate], ...] = (_larger_images, _larger_backbone, _fine_tune)
