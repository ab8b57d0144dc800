"""Which recipe for a source when none is named, and how large for so many minutes, by what a short probe measures.

A pretrained backbone's features under a head, or learning from scratch by one of the fast recipes: a probe on a few
images says which (`tenfold.workbench.probe`). With a time limit, the recipe is the largest for which there is time.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tenfold.core.errors import InputError
from tenfold.core.progress import Progress
from tenfold.data import Source, Splits, load_splits, typical_size
from tenfold.inference.engines import images_per_second
from tenfold.models.weights import local_weights
from tenfold.recipe import Recipe, load_recipe
from tenfold.report.figures import confusion_matrix
from tenfold.report.style import settle, to_png, to_svg
from tenfold.training.begin import new_model
from tenfold.training.learner import Learner
from tenfold.workbench.probe import CLEAR, Evidence, probe, without_mirroring
from tenfold.workbench.scaling import batched, epochs_for, passes_needed, scaled_to, sizing

# From the quickest to the most accurate; each recipe's own epochs are those it takes on so many images.
LADDER = ("fast-72", "fast-86", "fast-90", "fast-94")
# What is learned from scratch by where nobody says how long it may take.
FROM_SCRATCH = "fast-90"
# Images whose shorter side is larger than this (pixels) are kept at the size that suits a backbone.
SMALL = 64
# With more images than this (of all splits), features take longer than learning from scratch, and have to be clearly
# better; with fewer, learning from scratch has to be.
MANY = 30_000
# The share of the time that the probe may take.
_PROBE_SHARE = 0.2
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


# Overrides of a recipe, as `load_recipe` takes them.
Overrides = Iterable[str] | Mapping[str, Any]


def suitable_plan(
    source: Source, device: torch.device, seed: int, note: Progress, data: Overrides = ()
) -> Plan:
    """The built-in recipe for a source when none is named, scaled to its images, and why it is this one.

    `data` are overrides of a recipe's `[data]`; `note` hears of the images read. The same seed gives the same plan.
    Raises InputError where the source cannot be used.
    """
    if source.data == "digits":
        return Plan(
            "digits", load_recipe("digits", {"fit.seed": seed}), "the digits have a recipe of their own"
        )
    task = _read(source, seed, note, data)
    found = probe(task.splits, task.sizing, task.backbone, device, seed)
    if _features_win(found, task.splits, task.backbone is not None):
        assert task.backbone is not None
        return Plan("backbone", task.backbone, f"backbone: {_why(found, True)}")
    recipe = _mirrored(load_recipe(FROM_SCRATCH, {**task.changes, "fit.seed": seed}), found)
    recipe = scaled_to(recipe, len(task.splits.train))
    return Plan(FROM_SCRATCH, recipe, f"{FROM_SCRATCH}, {recipe.fit.epochs} epochs: {_why(found, False)}")


def make_plan(
    source: Source,
    minutes: float,
    device: torch.device,
    seed: int,
    note: Progress,
    began: float,
    data: Overrides = (),
) -> Plan:
    """The recipe for `source` that ends `minutes` after `began` (of `time.perf_counter`).

    `note` hears of the images read; `data` are overrides of a recipe's `[data]`. Raises InputError where the source
    cannot be used, or where reading it took all of the time.
    """
    task = _read(source, seed, note, data)
    deadline = began + 60 * minutes - _REPORT_FIGURES * figure_seconds()
    now = time.perf_counter()
    if now >= deadline:
        raise _too_short()
    until = now + _PROBE_SHARE * (deadline - now)
    found = probe(task.splits, task.sizing, task.backbone, device, seed, until)
    features = _features_win(found, task.splits, task.backbone is not None)
    plan = _through_backbone(task, found, deadline, device) if features else None
    return plan or _from_scratch(task, source, found, deadline, device, seed, note)


@dataclass(frozen=True)
class _Task:
    """A source's images as a backbone takes them, its recipe (None: no weights), and how the fast recipes take them.

    `changes` are overrides for a fast recipe: `sizing`, and what the user said of `[data]`.
    """

    splits: Splits
    backbone: Recipe | None
    sizing: dict[str, Any]
    changes: dict[str, Any]


def _read(source: Source, seed: int, note: Progress, data: Overrides) -> _Task:
    """Raises InputError where the source cannot be used."""
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
    at_hand = local_weights(recipe.model.options["backbone"]) is not None
    changes = {**sizing(size), **said}
    return _Task(load_splits(recipe.data, source, note), recipe if at_hand else None, sizing(size), changes)


def _features_win(found: Evidence, splits: Splits, at_hand: bool) -> bool:
    """Whether to take features: of few images where nothing better was measured, of many where they are better."""
    many = sum(len(split) for split in splits) > MANY
    if not found.scratch:
        return at_hand and not many
    if not found.features:
        return False
    return found.standard_errors > (CLEAR if many else -CLEAR)


def _why(found: Evidence, features: bool) -> str:
    """What the choice of `features`, or against them, rests on."""
    if not found.scratch:
        return "there was no time to measure what suits the images"
    if not found.features:
        return f"no weights of a backbone are on this machine; {found.mirror_words}"
    return found.words() if features else f"{found.words()}; {found.mirror_words}"


def _mirrored(recipe: Recipe, found: Evidence) -> Recipe:
    return recipe if found.mirror else without_mirroring(recipe)


def _through_backbone(task: _Task, found: Evidence, deadline: float, device: torch.device) -> Plan | None:
    """The `backbone` recipe at the largest image size for which there is time until `deadline`, or None.

    One size is measured, by the probe if there was one; the others take more or less by their pixels.
    """
    recipe, splits = task.backbone, task.splits
    assert recipe is not None
    images, own = sum(len(split) for split in splits), recipe.model.options["image_size"]
    began = time.perf_counter()
    rate = found.features_rate or images_per_second(new_model(recipe, splits), splits.train, device)
    setup = found.features_setup or time.perf_counter() - began
    left = deadline - time.perf_counter() - setup
    for size in BACKBONE_SIZES:
        there = rate * (own / size) ** 2
        if images / there < _FEATURES_SHARE * left:
            clock = round((left - images / there) / 60, 3)  # the head's, once its features are computed
            return Plan(
                "backbone",
                load_recipe(recipe, {"model.image_size": size, "fit.minutes": clock}),
                f"{images:,} images through {recipe.model.options['backbone']} at {size} pixels: about "
                f"{_spoken(images / there)} at {there:,.0f} images/s by what was measured, then its head; "
                f"{_why(found, True)}",
            )
    return None


def _from_scratch(
    task: _Task,
    source: Source,
    found: Evidence,
    deadline: float,
    device: torch.device,
    seed: int,
    note: Progress,
) -> Plan:
    """The largest of the fast recipes that has time for its own epochs, or else the smallest."""
    splits: Splits | None = None
    chosen: Rung | None = None
    for name in LADDER:
        recipe = _mirrored(load_recipe(name, {**task.changes, "fit.seed": seed}), found)
        splits = splits or load_splits(recipe.data, source, note)
        rung = _measured(name, recipe, splits, device)
        enough = _left(rung, splits, deadline) >= rung.needed * rung.pass_seconds
        if chosen is None or enough:
            chosen = rung
        if not enough:
            break
    assert chosen is not None
    assert splits is not None
    return _scaled(chosen, splits, _left(chosen, splits, deadline), _why(found, False))


def _measured(name: str, recipe: Recipe, splits: Splits, device: torch.device) -> Rung:
    """A recipe of the ladder with batches for so many images, and its speed on this machine."""
    images = len(splits.train)
    recipe = batched(recipe, images)
    seconds = measure_step(recipe, splits, device) / recipe.fit.batch_size
    needed = passes_needed(recipe, images)
    judged = min(len(splits.validation), recipe.stop.sample or len(splits.validation))
    return Rung(name, recipe, seconds, (images + _views(recipe) * judged / 3) * seconds, needed)


def _views(recipe: Recipe) -> int:
    """How many views of an image are predicted."""
    return recipe.model.options.get("views", 1)


def _left(rung: Rung, splits: Splits, deadline: float) -> float:
    """Seconds for training and validation until the `deadline` for them and for testing.

    Raises InputError where there are none.
    """
    tested = len(splits.validation) + len(splits.test)
    left = deadline - time.perf_counter() - tested * rung.test_seconds
    if left <= 0:
        raise _too_short()
    return left


def _too_short() -> InputError:
    return InputError(
        "--minutes: reading the images and measuring this machine took all of the time. Give more; a second run "
        "finds the images read."
    )


def _scaled(rung: Rung, splits: Splits, left: float, why: str = "") -> Plan:
    """The rung's recipe for the seconds that are left: as many passes as there is time for and as teach anything.

    The clock always has the last word, within an epoch if need be.
    """
    passes = left / rung.pass_seconds
    most = max(1.0, LONGEST * rung.needed)
    changes: dict[str, Any] = {"fit.minutes": round(left / 60, 3)}
    if most < 0.8 * passes:
        passes, end = most, "; more would teach it nothing"
        changes["fit.epochs"] = epochs_for(rung.recipe, passes)
    else:
        # Twice the epochs leave room for a machine that gets faster.
        changes["fit.epochs"], end = 2 * epochs_for(rung.recipe, passes), ""
    _, height, width = splits.image_shape
    epochs = epochs_for(rung.recipe, passes)
    seen = passes * sum(rung.recipe.fit.shares(epochs)) / sum(rung.recipe.fit.work(epochs))
    words = (
        f"{rung.name}, about {seen:.{0 if seen >= 10 else 1}f} passes over {len(splits.train):,} images of "
        f"{height}x{width}: {_spoken(passes * rung.pass_seconds)} at the {1 / rung.image_seconds:,.0f} images/s "
        f"measured{end}{f'; {why}' if why else ''}"
    )
    return Plan(rung.name, load_recipe(rung.recipe, changes), words)


def measure_step(recipe: Recipe, splits: Splits, device: torch.device) -> float:
    """Seconds of one training step of `recipe`, after a warm-up; nothing is kept of it."""
    batch = recipe.fit.batch_size
    few = replace(
        splits,
        train=splits.train.part(np.arange(min(2 * batch, len(splits.train)))),
        validation=splits.validation.part(np.arange(1)),
    )
    recipe = load_recipe(recipe, {"fit.epochs": 2, "fit.hardest": [1.0], "fit.scales": [1.0]})
    learner = Learner(new_model(recipe, splits), few, recipe, device=device)
    learner.learn(1)
    began = time.perf_counter()
    learner.learn(2)
    return (time.perf_counter() - began) / 2


def figure_seconds() -> float:
    """How long one figure of a report takes to draw here, a matrix of ten classes."""
    began = time.perf_counter()
    figure = confusion_matrix(np.eye(10, dtype=int), [f"class {number}" for number in range(10)])
    settle(figure)
    to_svg(figure)
    to_png(figure)
    return time.perf_counter() - began


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds > 90 else f"{seconds:.0f} s"
