"""Which recipe for a source when none is named, and how large for so many minutes, by what a short probe measures.

A pretrained backbone's features under a head, or learning from scratch by one of the fast recipes: a probe on a few
images says which (`tenfold.workbench.probe`). With a time limit, the recipe is the largest for which there is time.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tenfold.core.errors import InputError
from tenfold.core.progress import Progress
from tenfold.data import Source, Splits, read_splits
from tenfold.inference.engines import images_per_second
from tenfold.inference.graphs import cached_graphs
from tenfold.recipe import Overrides, Recipe, load_recipe
from tenfold.report.figures import confusion_matrix
from tenfold.report.kit.style import settle, to_png, to_svg
from tenfold.training.begin import new_model
from tenfold.training.learner import Learner
from tenfold.workbench.probe import CLEAR, Evidence, probe, without_mirroring
from tenfold.workbench.scaling import batched, epochs_for, passes_needed, scaled_to
from tenfold.workbench.task import FROM_SCRATCH, Task, read_task, takes

# From the quickest to the most accurate; each recipe's own epochs are those it takes on so many images.
LADDER = ("fast-72", "fast-86", "fast-90", "fast-94")
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
# What a backbone takes before its first image, in times of that figure: its export, where none is in the cache, and
# its libraries and weights. By CPU seconds: 4.8, 2.2, and 0.35 for the figure.
_EXPORT_FIGURES, _OPENING_FIGURES = 14, 7
# With less time than so many of those figures take, nothing is measured.
_HURRY_FIGURES = 10
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


def suitable_plan(
    source: Source, device: torch.device, seed: int, note: Progress, overrides: Overrides = ()
) -> Plan:
    """The built-in recipe for a source when none is named, scaled to its images, and why it is this one.

    `overrides` are those that the recipe will be given: one that suits them is chosen, what they say of `[data]`
    holds for the images that are looked at, and a mirroring that they name is kept. `note` hears of the images read.
    The same seed gives the same plan.
    Raises InputError where the source cannot be used.
    """
    if source.data == "digits":
        return Plan(
            "digits", load_recipe("digits", {"fit.seed": seed}), "the digits have a recipe of their own"
        )
    task = read_task(source, seed, note, overrides)
    found = _probed(task, device, seed)
    if _features_win(found, task):
        assert task.backbone is not None
        return Plan("backbone", task.backbone, f"backbone: {_why(found, True, task)}")
    recipe = _mirrored(load_recipe(FROM_SCRATCH, {**task.changes, "fit.seed": seed}), found, task)
    recipe = scaled_to(recipe, len(task.splits.train))
    return Plan(
        FROM_SCRATCH, recipe, f"{FROM_SCRATCH}, {recipe.fit.epochs} epochs: {_why(found, False, task)}"
    )


def make_plan(
    source: Source,
    minutes: float,
    device: torch.device,
    seed: int,
    note: Progress,
    began: float,
    overrides: Overrides = (),
) -> Plan:
    """The recipe for `source` that ends `minutes` after `began` (of `time.perf_counter`).

    `note` hears of the images read; `overrides`: see `suitable_plan`. Where little is left once the images are read,
    nothing is measured and the quickest recipe is taken. Raises InputError where the source cannot be used, or where
    reading it took all of the time.
    """
    task = read_task(source, seed, note, overrides)
    figure, now = figure_seconds(), time.perf_counter()
    clock = _Clock(began + 60 * minutes, figure)
    if now >= clock.end:
        raise InputError(
            f"--minutes {minutes:g}: reading the images took {now - began:.0f} s, all of the time. Give more; a "
            "second run finds the images read."
        )
    if clock.left < _HURRY_FIGURES * figure:
        return _quickest(task, task.splits, clock, seed)
    # Of what is kept back for a backbone, the export is the larger part, and is made once for a size.
    opening = (_OPENING_FIGURES if cached_graphs() else _OPENING_FIGURES + _EXPORT_FIGURES) * figure
    if task.backbone is not None and not task.only_features and opening > _PROBE_SHARE * clock.left:
        task = replace(task, backbone=None, missing="there is no time to open a backbone")
    found = _probed(task, device, seed, now + _PROBE_SHARE * clock.left)
    plan = _through_backbone(task, found, clock, device) if _features_win(found, task) else None
    return plan or _from_scratch(task, source, found, clock, device, seed, note)


@dataclass(frozen=True)
class _Clock:
    """When all has to be done (of `time.perf_counter`), and how long a figure of the report takes to draw here."""

    end: float
    figure: float

    @property
    def left(self) -> float:
        """Seconds until the report has to be begun; below 0 where there is no time for all of it."""
        return self.end - _REPORT_FIGURES * self.figure - time.perf_counter()


def _probed(task: Task, device: torch.device, seed: int, until: float = float("inf")) -> Evidence:
    """What a probe finds, until a time; nothing where the user's overrides have decided already."""
    if task.only_features:
        return Evidence((), (), True, "", len(task.splits.train))
    return probe(task.splits, task.sizing, task.backbone, device, seed, until)


def _features_win(found: Evidence, task: Task) -> bool:
    """Whether to take features: of few images where nothing better was measured, of many where they are better."""
    if task.only_features:
        return True
    many = sum(len(split) for split in task.splits) > MANY
    if not found.scratch:
        return task.backbone is not None and not many
    if not found.features:
        return False
    return found.standard_errors > (CLEAR if many else -CLEAR)


def _why(found: Evidence, features: bool, task: Task) -> str:
    """What the choice of `features`, or against them, rests on."""
    if task.only_features:
        return "the overrides given are for a backbone"
    if not found.scratch:
        return task.missing or "there was no time to measure what suits the images"
    mirror = (
        f"{found.mirror_words}{'; kept, because the overrides name it' if _insisted(found, task) else ''}"
    )
    if not found.features:
        return f"{task.missing}; {mirror}"
    return found.words() if features else f"{found.words()}; {mirror}"


def _mirrored(recipe: Recipe, found: Evidence, task: Task) -> Recipe:
    return recipe if found.mirror or _insisted(found, task, recipe) else without_mirroring(recipe)


def _insisted(found: Evidence, task: Task, recipe: Recipe | None = None) -> bool:
    """Whether mirroring harms, and the user's overrides change it all the same: they need it there."""
    recipe = recipe or load_recipe(FROM_SCRATCH)
    plain = without_mirroring(recipe)
    return not found.mirror and takes(recipe, task.overrides) and not takes(plain, task.overrides)


def _through_backbone(task: Task, found: Evidence, clock: _Clock, device: torch.device) -> Plan | None:
    """The `backbone` recipe at the largest image size for which there is time, or None.

    One size is measured, by the probe if there was one; the others take more or less by their pixels, and an export
    of their own. Where the user's overrides are for a backbone, the smallest is taken rather than none.
    """
    recipe, splits = task.backbone, task.splits
    assert recipe is not None
    images, own = sum(len(split) for split in splits), recipe.model.options["image_size"]
    began = time.perf_counter()
    rate = found.features_rate or images_per_second(new_model(recipe, splits), splits.train, device)
    setup = found.features_setup or time.perf_counter() - began
    for size in BACKBONE_SIZES:
        there = rate * (own / size) ** 2
        export = 0 if size == own else _EXPORT_FIGURES * clock.figure
        fits = images / there < _FEATURES_SHARE * (clock.left - setup - export)
        if fits or (task.only_features and size == BACKBONE_SIZES[-1]):
            return Plan(
                "backbone",
                # A head's clock counts its features.
                load_recipe(recipe, {"model.image_size": size, "fit.minutes": _minutes(clock.left - setup)}),
                f"{images:,} images through {recipe.model.options['backbone']} at {size} pixels: about "
                f"{_spoken(images / there)} at {there:,.0f} images/s by what was measured, then its head; "
                f"{_why(found, True, task)}",
            )
    return None


def _minutes(seconds: float) -> float:
    """For `fit.minutes`, which is above 0."""
    return max(round(seconds / 60, 3), 0.001)


def _quickest(task: Task, splits: Splits, clock: _Clock, seed: int, found: Evidence | None = None) -> Plan:
    """The quickest recipe, unmeasured, for a tenth of what is left and whatever the report does not take."""
    recipe = load_recipe(LADDER[0], {**task.changes, "fit.seed": seed})
    recipe = scaled_to(recipe if found is None else _mirrored(recipe, found, task), len(splits.train))
    seconds = max(clock.left, 0.1 * (clock.end - time.perf_counter()))
    late = "" if clock.left > 0 else "; the report will end after the minutes given"
    words = (
        f"{LADDER[0]}, the quickest, because little time is left: {max(seconds, 0.1):.1f} s of training on "
        f"{len(splits.train):,} images{late}"
    )
    return Plan(LADDER[0], load_recipe(recipe, {"fit.minutes": _minutes(seconds)}), words)


def _from_scratch(
    task: Task,
    source: Source,
    found: Evidence,
    clock: _Clock,
    device: torch.device,
    seed: int,
    note: Progress,
) -> Plan:
    """The largest of the fast recipes that has time for its own epochs, or else the smallest."""
    splits: Splits | None = None
    chosen: Rung | None = None
    # Of those that take the user's overrides; where none does, the first says why.
    names = [name for name in LADDER if takes(load_recipe(name), task.overrides)] or LADDER
    for name in names:
        recipe = _mirrored(load_recipe(name, {**task.changes, "fit.seed": seed}), found, task)
        splits = splits or read_splits(recipe.data, source, note)
        rung = _measured(name, recipe, splits, device)
        enough = _left(rung, splits, clock) >= rung.needed * rung.pass_seconds
        if chosen is None or enough:
            chosen = rung
        if not enough:
            break
    assert chosen is not None
    assert splits is not None
    left = _left(chosen, splits, clock)
    if left <= 0:
        return _quickest(task, splits, clock, seed, found)
    return _scaled(chosen, splits, left, _why(found, False, task))


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


def _left(rung: Rung, splits: Splits, clock: _Clock) -> float:
    """Seconds for training and validation; below 0 where testing and the report take all there is."""
    return clock.left - (len(splits.validation) + len(splits.test)) * rung.test_seconds


def _scaled(rung: Rung, splits: Splits, left: float, why: str = "") -> Plan:
    """The rung's recipe for the seconds that are left: as many passes as there is time for and as teach anything.

    The clock always has the last word, within an epoch if need be.
    """
    passes = left / rung.pass_seconds
    most = max(1.0, LONGEST * rung.needed)
    changes: dict[str, Any] = {"fit.minutes": _minutes(left)}
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
