"""Which recipe for a source when none is named, and how large for so many minutes, by what a short probe measures.

Small images are learned from scratch, by the largest of the fast recipes that has time for its epochs. Photographs go
through a pretrained backbone where its weights are at hand and there is time for every image to pass it.
"""

import time
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tenfold.core.errors import InputError
from tenfold.data import Source, Splits, load_splits, typical_size
from tenfold.inference.engines import images_per_second
from tenfold.models import Classifier, build_model
from tenfold.models.weights import local_weights
from tenfold.recipe import Recipe, load_recipe
from tenfold.report.figures import confusion_matrix
from tenfold.report.style import settle, to_png, to_svg
from tenfold.runs.folder import Run
from tenfold.training.loop import Training
from tenfold.workbench.progress import Note

# From the quickest to the most accurate; each recipe's own epochs are those it takes on so many images.
LADDER = ("fast-72", "fast-86", "fast-90", "fast-94")
LADDER_IMAGES = 40_000
# What small images are learned by where nobody says how long it may take.
FROM_SCRATCH = "fast-90"
# Images whose shorter side is larger than this (pixels) are photographs: a pretrained backbone knows their like.
SMALL = 64
# What a backbone is given, largest first (pixels a side): the smaller, the faster and the less accurate.
BACKBONE_SIZES = (224, 160, 128, 96)
# A run longer than this many times a recipe's own epochs teaches it nothing more.
LONGEST = 4
# What is kept back for the report: times of the figure that is drawn to measure how fast this machine draws. What is
# kept back for an image that is tested: times of one that is learned from.
_REPORT_FIGURES, _TEST_SHARE = 15, 0.6
# Of the time for a backbone, the share that its features may take; the rest is the head's.
_FEATURES_SHARE = 0.75


@dataclass(frozen=True)
class Plan:
    """The name of a recipe, the recipe scaled to the time, and the plan in words."""

    name: str
    recipe: Recipe
    words: str


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


def suitable_recipe(source: Source) -> tuple[str, dict[str, Any]]:
    """The built-in recipe for a source when none is named, and what to change in it.

    Raises InputError where the source cannot be used.
    """
    if source.data == "digits":
        return "digits", {}
    size = typical_size(source)
    return ("backbone", {}) if _for_backbone(size) else (FROM_SCRATCH, _sizing(size))


def make_plan(
    source: Source, minutes: float, device: torch.device, seed: int, note: Note, began: float
) -> Plan:
    """The recipe for `source` that ends `minutes` after `began` (of `time.perf_counter`).

    `note` hears of the images read. Raises InputError where the source cannot be used, or where reading it took all
    of the time.
    """
    size = typical_size(source)
    deadline = began + 60 * minutes - _REPORT_FIGURES * figure_seconds()
    plan = _through_backbone(source, deadline, device, seed, note) if _for_backbone(size) else None
    return plan or _from_scratch(source, size, deadline, device, seed, note)


def _for_backbone(size: int) -> bool:
    return size > SMALL and local_weights(load_recipe("backbone").model.options["backbone"]) is not None


def _through_backbone(
    source: Source, deadline: float, device: torch.device, seed: int, note: Note
) -> Plan | None:
    """The `backbone` recipe at the largest image size for which there is time until `deadline`, or None."""
    recipe = load_recipe("backbone", {"fit.seed": seed})
    splits = load_splits(recipe.data, source, note)
    images = sum(len(split) for split in splits)
    for size in BACKBONE_SIZES:
        sized = load_recipe(recipe, {"model.image_size": size})
        rate = images_per_second(_model(sized, splits), splits.train, device)
        left = deadline - time.perf_counter()
        if images / rate < _FEATURES_SHARE * left:
            return Plan(
                "backbone",
                sized,
                f"{images:,} photographs through {recipe.model.options['backbone']} at {size} pixels: about "
                f"{_spoken(images / rate)} at the {rate:,.0f} images/s measured, then its head",
            )
    return None


def _from_scratch(
    source: Source, size: int, deadline: float, device: torch.device, seed: int, note: Note
) -> Plan:
    """The largest of the fast recipes that has time for its own epochs, or else the smallest."""
    sizing = _sizing(size)
    splits: Splits | None = None
    chosen: Rung | None = None
    for name in LADDER:
        recipe = load_recipe(name, {**sizing, "fit.seed": seed})
        splits = splits or load_splits(recipe.data, source, note)
        rung = _measured(name, recipe, splits, device)
        enough = _left(rung, splits, deadline) >= rung.needed * rung.pass_seconds
        if chosen is None or enough:
            chosen = rung
        if not enough:
            break
    assert chosen is not None
    assert splits is not None
    return _scaled(chosen, splits, _left(chosen, splits, deadline))


def _sizing(size: int) -> dict[str, Any]:
    """Overrides for other sizes than CIFAR-10's.

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


def _measured(name: str, recipe: Recipe, splits: Splits, device: torch.device) -> Rung:
    """A recipe of the ladder with batches for so many images, and its speed on this machine."""
    images = len(splits.train)
    batch = min(recipe.fit.batch_size, max(32, 2 ** int(np.log2(images / 40))))
    recipe = load_recipe(recipe, {"fit.batch_size": batch, **_rates(recipe, batch / recipe.fit.batch_size)})
    seconds = measure_step(recipe, splits, device) / batch
    # Fewer images take more epochs, though fewer steps: a rule of thumb, with the square root between the two.
    needed = max(1.0, sum(recipe.fit.work(recipe.fit.epochs))) * max(1.0, LADDER_IMAGES / images) ** 0.5
    judged = min(len(splits.validation), recipe.stop.sample or len(splits.validation))
    return Rung(name, recipe, seconds, (images + _views(recipe) * judged / 3) * seconds, needed)


def _views(recipe: Recipe) -> int:
    """How many views of an image are predicted."""
    return recipe.model.options.get("views", 1)


def _rates(recipe: Recipe, ratio: float) -> dict[str, float]:
    """Muon's rates where a batch is `ratio` times the recipe's own: a kernel's goes with the root of it."""
    options = recipe.optimizer.options
    rates = {f"optimizer.{name}": options[name] * ratio for name in ("other_lr", "head_lr", "weight_decay")}
    return {"optimizer.lr": options["lr"] * ratio**0.5, **rates}


def _left(rung: Rung, splits: Splits, deadline: float) -> float:
    """Seconds for training and validation until the `deadline` for them and for testing.

    Raises InputError where there are none.
    """
    tested = len(splits.validation) + len(splits.test)
    left = deadline - time.perf_counter() - tested * rung.test_seconds
    if left <= 0:
        raise InputError(
            "--minutes: reading the images and measuring this machine took all of the time. Give more; a second run "
            "finds the images read."
        )
    return left


def _scaled(rung: Rung, splits: Splits, left: float) -> Plan:
    """The rung's recipe for the seconds that are left: as many passes as there is time for and as teach anything."""
    passes = left / rung.pass_seconds
    most = max(1.0, LONGEST * rung.needed)
    if most < 0.8 * passes:
        passes, end = most, "; more would teach it nothing"
        changes: dict[str, Any] = {"fit.epochs": _epochs(rung.recipe, passes)}
    else:
        # The clock decides, within an epoch if need be; twice the epochs leave room for a machine that gets faster.
        changes = {"fit.minutes": round(left / 60, 3), "fit.epochs": 2 * _epochs(rung.recipe, passes)}
        end = ""
    height, width, _ = splits.image_shape
    epochs = _epochs(rung.recipe, passes)
    seen = passes * sum(rung.recipe.fit.shares(epochs)) / sum(rung.recipe.fit.work(epochs))
    words = (
        f"{rung.name}, about {seen:.{0 if seen >= 10 else 1}f} passes over {len(splits.train):,} images of "
        f"{height}x{width}: {_spoken(passes * rung.pass_seconds)} at the {1 / rung.image_seconds:,.0f} images/s "
        f"measured{end}"
    )
    return Plan(rung.name, load_recipe(rung.recipe, changes), words)


def _epochs(recipe: Recipe, passes: float) -> int:
    """The epochs of `recipe` that come to so many passes over all training images at their full size."""
    return next(epochs for epochs in count(1) if sum(recipe.fit.work(epochs)) >= passes - 1e-9)


def measure_step(recipe: Recipe, splits: Splits, device: torch.device) -> float:
    """Seconds of one training step of `recipe`, after a warm-up; nothing is kept of it."""
    batch = recipe.fit.batch_size
    few = replace(
        splits,
        train=splits.train.part(np.arange(min(2 * batch, len(splits.train)))),
        validation=splits.validation.part(np.arange(1)),
    )
    recipe = load_recipe(recipe, {"fit.epochs": 2, "fit.hardest": [1.0], "fit.scales": [1.0]})
    training = Training(_model(recipe, splits), few, recipe, Run(Path()), device, None)
    training.learn(1)
    began = time.perf_counter()
    training.learn(2)
    return (time.perf_counter() - began) / 2


def figure_seconds() -> float:
    """How long one figure of a report takes to draw here, a matrix of ten classes."""
    began = time.perf_counter()
    figure = confusion_matrix(np.eye(10, dtype=int), [f"class {number}" for number in range(10)])
    settle(figure)
    to_svg(figure)
    to_png(figure)
    return time.perf_counter() - began


def _model(recipe: Recipe, splits: Splits) -> Classifier:
    height, width, channels = splits.image_shape
    return build_model(
        recipe.model,
        (channels, height, width),
        len(splits.class_names),
        seed=recipe.fit.seed,
        pretrained=True,
    )


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds > 90 else f"{seconds:.0f} s"
