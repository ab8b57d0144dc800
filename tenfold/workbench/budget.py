"""Which recipe for a source when none is named, and how large for so many minutes, by what a short probe measures.

A pretrained backbone's features under a head, or learning from scratch by one of the fast recipes: a probe on a few
images says which (`tenfold.workbench.probe`). With a time limit, the recipe is the largest for which there is time.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from tenfold.core.errors import InputError
from tenfold.data import Source, Splits, read_splits
from tenfold.inference.engines import images_per_second
from tenfold.inference.graphs import cached_graphs
from tenfold.recipe import Composition, Overrides, Recipe, load_recipe
from tenfold.training.begin import new_model
from tenfold.workbench.candidates import Candidate, learn
from tenfold.workbench.changes import without_mirroring
from tenfold.workbench.clock import (
    EXPORT_FIGURES,
    OPENING_FIGURES,
    Clock,
    figure_seconds,
    in_minutes,
    spoken,
)
from tenfold.workbench.improve import BACKBONE_SIZES, Setting, improve, side
from tenfold.workbench.ladder import LADDER, RUNG_GAINS, Rung, measure
from tenfold.workbench.probe import CLEAR, Evidence, probe
from tenfold.workbench.progress import Display
from tenfold.workbench.scaling import scaled_to
from tenfold.workbench.task import FROM_SCRATCH, Task, read_task, takes

# How much smaller the error of features at each image size is than at the probe's, in logarithms: on CIFAR-10
# (docs/results.md).
SIZE_GAINS = {224: 0.07, 192: 0.06, 160: 0.0, 128: -0.16, 96: -0.31}
# With more images than this (of all splits), features take longer than learning from scratch, and have to be clearly
# better; with fewer, learning from scratch has to be.
MANY = 30_000
# The share of the time that the probe may take.
_PROBE_SHARE = 0.2
# The share of the time that opening a backbone may take. Where it is more than the probe's, there is none: of few
# images, features are taken unmeasured, because learning from scratch has not even begun in so little time.
_OPENING_SHARE = 0.5
# Of what is left, the share that the first features may take. The rest is for their head, for better ones, and for a
# machine that gets slower.
_FIRST_SHARE = 0.45
# The same for the smallest images, where there is no time for anything better.
_LAST_SHARE = 0.7
# With less time than so many of those figures take, nothing is measured.
_HURRY_FIGURES = 10


@dataclass(frozen=True)
class Plan:
    """A recipe scaled to the time, what to call it, the plan in words, and what has been learned already."""

    name: str
    recipe: Recipe
    words: str = ""
    learned: Candidate | None = None


def suitable_plan(
    source: Source, device: torch.device, seed: int, display: Display, overrides: Overrides = ()
) -> Plan:
    """The built-in recipe for a source when none is named, scaled to its images, and why it is this one.

    `overrides` are those that the recipe will be given: one that suits them is chosen, what they say of `[data]`
    holds for the images that are looked at, and a mirroring that they name is kept. `display` shows the plan.
    The same seed gives the same plan.
    Raises InputError where the source cannot be used.
    """
    plan = _suitable(source, device, seed, display, overrides)
    display.planned(plan.words)
    return plan


def _suitable(
    source: Source, device: torch.device, seed: int, display: Display, overrides: Overrides
) -> Plan:
    if source.data == "digits":
        return Plan(
            "digits", load_recipe("digits", {"fit.seed": seed}), "the digits have a recipe of their own"
        )
    task = _read(source, seed, display, overrides)
    found = _probed(task, device, seed).better_by(RUNG_GAINS[FROM_SCRATCH])
    if _features_win(found, task):
        assert task.backbone is not None
        return Plan("backbone", task.backbone, f"backbone: {_why(found, True, task)}")
    recipe = _augmented(load_recipe(FROM_SCRATCH, {**task.changes, "fit.seed": seed}), found, task)
    recipe = scaled_to(recipe, len(task.splits.train))
    return Plan(
        FROM_SCRATCH, recipe, f"{FROM_SCRATCH}, {recipe.fit.epochs} epochs: {_why(found, False, task)}"
    )


def make_plan(
    source: Source,
    minutes: float,
    device: torch.device,
    seed: int,
    display: Display,
    began: float,
    overrides: Overrides = (),
) -> Plan:
    """The recipe for `source` that ends `minutes` after `began` (of `time.perf_counter`).

    `display` shows the plan, and what became of each of its steps; `overrides`: see `suitable_plan`. Where little is
    left once the images are read, nothing is measured and the quickest recipe is taken. Raises InputError where the
    source cannot be used, or where reading it took all of the time.
    """
    task = _read(source, seed, display, overrides)
    figure, now = figure_seconds(), time.perf_counter()
    clock = Clock(began + 60 * minutes, figure)
    if now >= clock.end:
        raise InputError(
            f"--minutes {minutes:g}: reading the images took {now - began:.0f} s, all of the time. Give more; a "
            "second run finds the images read."
        )
    task, probing = _what_there_is_time_for(task, clock)
    if task.backbone is None and clock.left < _HURRY_FIGURES * figure:
        plan = _quickest(task, task.splits, clock, seed)
        display.planned(plan.words, minutes)
        return plan
    found = _probed(task, device, seed, now + _PROBE_SHARE * clock.left) if probing else _unmeasured(task)
    rung = None
    if found.features and _many(task):
        # There is a choice of recipes that differ by more than the ways do.
        rung = _largest_rung(task, source, found, clock, device, seed, display)
        found = found.better_by(RUNG_GAINS[rung[0].name])
    plan = _learned_plan(task, found, clock, device, display, minutes) if _features_win(found, task) else None
    if plan is not None:
        return plan
    rung = rung or _largest_rung(task, source, found, clock, device, seed, display)
    plan = _from_scratch(task, *rung, found, clock, seed)
    display.planned(plan.words, minutes)
    return plan


def _what_there_is_time_for(task: Task, clock: Clock) -> tuple[Task, bool]:
    """The task, without its backbone where there is no time to open one, and whether there is time for a probe."""
    if task.backbone is None or task.only_features:
        return task, True
    # Of what is kept back for a backbone, the export is the larger part, and is made once for a size.
    figures = OPENING_FIGURES if cached_graphs() else OPENING_FIGURES + EXPORT_FIGURES
    share = figures * clock.figure / max(clock.left, 1e-9)
    if share <= _PROBE_SHARE:
        return task, True
    if share <= _OPENING_SHARE and not _many(task):
        return task, False
    return replace(task, backbone=None, missing="there is no time to open a backbone"), True


def _learned_plan(
    task: Task, found: Evidence, clock: Clock, device: torch.device, display: Display, minutes: float
) -> Plan | None:
    """What comes of a backbone in the time there is; None where its features take too long, or must be too small."""
    for plan, rate in _through_backbone(task, found, clock, device):
        if not _features_win(_at_size(found, plan), task):
            return None
        display.planned(plan.words, minutes)
        best = _learned(plan, Setting(task, clock, device, display, found.mirror, rate))
        if best is not None:
            return replace(plan, name=best.name, recipe=best.recipe, learned=best)
    return None


def _at_size(found: Evidence, plan: Plan) -> Evidence:
    """What was found, for features of the images that a plan has."""
    return found.better_by(found.gains[0], SIZE_GAINS.get(side(plan.recipe), 0.0))


def _read(source: Source, seed: int, display: Display, overrides: Overrides) -> Task:
    with display.decoding() as note:
        return read_task(source, seed, note, overrides)


def _learned(plan: Plan, setting: Setting) -> Candidate | None:
    """The best that comes of a backbone's plan in the time there is; None where its features would end too late."""
    task = setting.task
    testing = setting.seconds(plan.recipe, len(task.splits.test))
    until = time.perf_counter() + setting.clock.left - testing
    with setting.display.decoding("computing features") as note:
        # A backbone of the user's own choice is waited for, where even the smallest images take too long.
        least = task.only_features and side(plan.recipe) == _sizes(task)[-1]
        first = learn(plan.recipe, task.splits, setting.device, float("inf") if least else until, note)
    if first is None:
        setting.display.said("tried", "its features would have ended too late")
        return None
    return improve(first, setting)


def _probed(task: Task, device: torch.device, seed: int, until: float = float("inf")) -> Evidence:
    """What a probe finds, until a time; nothing where the user's overrides have decided already."""
    if task.only_features:
        return _unmeasured(task)
    return probe(task.splits, task.sizing, task.backbone, device, seed, until)


def _unmeasured(task: Task) -> Evidence:
    return Evidence((), (), True, "", len(task.splits.train))


def _features_win(found: Evidence, task: Task) -> bool:
    """Whether to take features: of few images where nothing better was measured, of many where they are better."""
    if task.only_features:
        return True
    if not found.scratch:
        return task.backbone is not None and not _many(task)
    if not found.features:
        return False
    return found.standard_errors > (CLEAR if _many(task) else -CLEAR)


def _many(task: Task) -> bool:
    return sum(len(split) for split in task.splits) > MANY


def _why(found: Evidence, features: bool, task: Task) -> str:
    """What the choice of `features`, or against them, rests on."""
    if task.only_features:
        return "the overrides given are for a backbone"
    if not found.scratch:
        return task.missing or "there was no time to measure what suits the images"
    mirror = (
        f"{found.augment_words}{'; kept, because the overrides name it' if _insisted(found, task) else ''}"
    )
    if not found.features:
        return f"{task.missing}; {mirror}"
    return found.words() if features else f"{found.words()}; {mirror}"


def _augmented(recipe: Recipe, found: Evidence, task: Task) -> Recipe:
    return replace(found, mirror=found.mirror or _insisted(found, task, recipe)).augmented(recipe)


def _insisted(found: Evidence, task: Task, recipe: Recipe | None = None) -> bool:
    """Whether mirroring harms, and the user's overrides change it all the same: they need it there."""
    recipe = recipe or load_recipe(FROM_SCRATCH)
    plain = without_mirroring(recipe)
    return not found.mirror and takes(recipe, task.overrides) and not takes(plain, task.overrides)


def _through_backbone(
    task: Task, found: Evidence, clock: Clock, device: torch.device
) -> Iterator[tuple[Plan, float]]:
    """The `backbone` recipe at each image size for which there is time, the largest first, with its images a second.

    One size is measured, by the probe if there was one; the others take more or less by their pixels, and an export
    of their own. Where nothing was measured for want of time, only the smallest is exported. Where the user's
    overrides are for a backbone, the smallest is taken rather than none. The rate is that of the recipe's own size.
    """
    assert task.backbone is not None
    images, sizes = sum(len(split) for split in task.splits), _sizes(task)
    rate, measured = found.features_rate, side(task.backbone)
    if not rate:
        if not task.only_features:
            sizes = sizes[-1:]
            measured = sizes[-1]
        recipe = _sized(task.backbone, measured, task)
        rate = images_per_second(new_model(recipe, task.splits), task.splits.train, device)
        rate *= (measured / side(task.backbone)) ** 2
    for size in sizes:
        there = rate * (side(task.backbone) / size) ** 2
        export = 0 if size == measured else EXPORT_FIGURES * clock.figure
        share = _LAST_SHARE if size == sizes[-1] else _FIRST_SHARE
        # It is opened once more, by what it learns with.
        fits = images / there < share * (clock.left - OPENING_FIGURES * clock.figure - export)
        if fits or (task.only_features and size == sizes[-1]):
            words = (
                f"{images:,} images through {task.backbone.model.options['backbone']} at {size} pixels: about "
                f"{spoken(images / there)} at {there:,.0f} images/s by what was measured, then its head; "
                f"{_why(found, True, task)}"
            )
            yield Plan("backbone", _sized(task.backbone, size, task), words), rate


def _sized(recipe: Recipe, size: int, task: Task) -> Recipe:
    return Composition(recipe, task.overrides, beneath={"model.image_size": size}).resolve()


def _sizes(task: Task) -> list[int]:
    """The sizes that a backbone may be given (pixels a side), largest first; only one where the user names it."""
    assert task.backbone is not None
    taken = {side(_sized(task.backbone, size, task)) for size in BACKBONE_SIZES}
    return sorted(taken, reverse=True)


def _quickest(task: Task, splits: Splits, clock: Clock, seed: int, found: Evidence | None = None) -> Plan:
    """The quickest recipe, unmeasured, for a tenth of what is left and whatever the report does not take."""
    recipe = load_recipe(LADDER[0], {**task.changes, "fit.seed": seed})
    recipe = scaled_to(recipe if found is None else _augmented(recipe, found, task), len(splits.train))
    seconds = max(clock.left, 0.1 * (clock.end - time.perf_counter()))
    late = "" if clock.left > 0 else "; the report will end after the minutes given"
    words = (
        f"{LADDER[0]}, the quickest, because little time is left: {max(seconds, 0.1):.1f} s of training on "
        f"{len(splits.train):,} images{late}"
    )
    return Plan(LADDER[0], load_recipe(recipe, {"fit.minutes": in_minutes(seconds)}), words)


def _from_scratch(task: Task, rung: Rung, splits: Splits, found: Evidence, clock: Clock, seed: int) -> Plan:
    """A fast recipe for the time that is left, or the quickest where there is none."""
    left = rung.left(splits, clock)
    if left <= 0:
        return _quickest(task, splits, clock, seed, found)
    recipe, words = rung.scaled(splits, left)
    return Plan(rung.name, recipe, f"{words}; {_why(found, False, task)}")


def _largest_rung(
    task: Task,
    source: Source,
    found: Evidence,
    clock: Clock,
    device: torch.device,
    seed: int,
    display: Display,
) -> tuple[Rung, Splits]:
    """The largest of the fast recipes that has time for its own epochs, or else the smallest, with its images."""
    splits: Splits | None = None
    chosen: Rung | None = None
    # Of those that take the user's overrides; where none does, the first says why.
    names = [name for name in LADDER if takes(load_recipe(name), task.overrides)] or LADDER
    for name in names:
        recipe = _augmented(load_recipe(name, {**task.changes, "fit.seed": seed}), found, task)
        splits = splits or _splits(recipe, source, display)
        rung = measure(name, recipe, splits, device)
        enough = rung.enough(splits, clock)
        if chosen is None or enough:
            chosen = rung
        if not enough:
            break
    assert chosen is not None
    assert splits is not None
    return chosen, splits


def _splits(recipe: Recipe, source: Source, display: Display) -> Splits:
    with display.decoding() as note:
        return read_splits(recipe.data, source, note)
