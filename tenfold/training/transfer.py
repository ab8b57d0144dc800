"""Transfer learning on a frozen backbone: its features are computed once, and the head is trained on them.

`on_features` turns the task "train this classifier on these images" into "train its head on these features"; from
there everything is what it is for any model: the same loop, checkpoint, evaluation and report. What is saved is
always the whole classifier.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from tenfold.augment import build_augmentations
from tenfold.core.devices import release_freed_memory
from tenfold.core.errors import InputError
from tenfold.core.progress import Progress
from tenfold.core.world import ALONE, World
from tenfold.data import Split, Splits
from tenfold.inference.engines import Engine
from tenfold.inference.evaluation import sample
from tenfold.models import Classifier, Preprocessing
from tenfold.recipe import Recipe
from tenfold.training.feature_cache import Views, as_split, compute, feature_set
from tenfold.training.heads import StrengthPath, measure_features, sanity_lines
from tenfold.training.method import MakeMethod
from tenfold.training.steps import GradientSteps

__all__ = [
    "Fitting",
    "Head",
    "check_recipe",
    "for_evaluation",
    "on_features",
    "split_on_features",
    "training_sample",
]


@final
class Head(Classifier):
    """A classifier's head, which takes features (N, F, h, w) for images; it saves and describes the whole."""

    def __init__(self, whole: Classifier) -> None:
        frozen = whole.frozen_part()
        unchanged = Preprocessing((0.0,), (1.0,))
        super().__init__(frozen.head, whole.architecture, frozen.shape, whole.classes, unchanged)
        self.strengths = frozen.strengths
        self._whole = (whole,)  # in a tuple, so that the backbone is not a part of this module

    @property
    def whole(self) -> Classifier:
        """The joined classifier; it shares the head's weights."""
        return self._whole[0]

    def complete(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The whole classifier's weights, with `weights` as the head's."""
        head = {name.replace("network.", "network.head.", 1): tensor for name, tensor in weights.items()}
        return {**self.whole.state_dict(), **head}

    def parameter_counts(self) -> tuple[int, int]:
        """(trainable, total) of the whole classifier."""
        return self.whole.parameter_counts()

    def describe(self) -> dict[str, Any]:
        """The whole classifier's description."""
        return self.whole.describe()


@dataclass(frozen=True)
class Fitting:
    """What is fitted: a model on splits by a recipe, by `method`; what the features took."""

    model: Classifier
    splits: Splits
    recipe: Recipe
    method: MakeMethod = GradientSteps
    features: dict[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What people call an epoch of it."""
        return StrengthPath.unit if "strengths" in self.features else GradientSteps.unit


def on_features(
    model: Classifier,
    splits: Splits,
    recipe: Recipe,
    device: torch.device,
    progress: Progress,
    world: World = ALONE,
    tested: bool = True,
) -> Fitting:
    """The task of fitting `model`: as it is, or for a frozen backbone that of its head on cached features.

    Features that are not in the cache are computed; `progress` hears of (images done, images in all). Without
    `tested` the test images stay as they are, for a model that may never be tested. Raises InputError for a recipe
    that does not suit it, and TenfoldError when the disk is full.
    """
    frozen = model.network.frozen
    if frozen is None:
        return Fitting(model, splits, recipe)
    check_recipe(model, recipe)
    views = {"train": _views(recipe, len(splits.class_names), frozen.views)}
    names = ("train", "validation", "test") if tested else ("train", "validation")
    featured, costs = _featured_splits(model, splits, names, views, device, progress, world)
    head = Head(model)
    measure_features(head.network, featured.train)
    costs["sanity"] = sanity_lines(
        featured.train, featured.validation, len(splits.class_names), recipe.fit.seed
    )
    changes: dict[str, Any] = {"augment": ()}
    method: MakeMethod = GradientSteps
    if frozen.strengths:
        method = partial(StrengthPath, frozen.strengths)
        changes["fit"] = recipe.fit.model_copy(update={"epochs": len(frozen.strengths)})
        costs["strengths"] = list(frozen.strengths)
    return Fitting(head, featured, recipe.model_copy(update=changes), method, costs)


def for_evaluation(
    model: Classifier,
    splits: Splits,
    recipe: Recipe,
    device: torch.device,
    progress: Progress,
    world: World = ALONE,
) -> Fitting:
    """As `on_features`, for a trained model: only validation and test images are looked at."""
    frozen = model.network.frozen
    if frozen is None:
        return Fitting(model, splits, recipe)
    views = {"train": _views(recipe, len(splits.class_names), frozen.views)}
    featured, costs = _featured_splits(model, splits, ("validation", "test"), views, device, progress, world)
    return Fitting(Head(model), featured, recipe, features=costs)


def check_recipe(model: Classifier, recipe: Recipe) -> None:
    """Raise InputError where augmentations, views or averaged weights do not suit a frozen backbone."""
    frozen = model.network.frozen
    if frozen is None:
        return
    _check_views(recipe, frozen.views)
    if recipe.solves_head and recipe.fit.ema_decay:
        raise InputError(
            f"fit.ema_decay={recipe.fit.ema_decay:g}: a logistic head is solved to its optimum, without steps whose "
            "weights could be averaged. Set fit.ema_decay=0, or model.head=mlp."
        )


def split_on_features(
    model: Classifier, split: Split, device: torch.device, progress: Progress
) -> tuple[Classifier, Split]:
    """Model and split as they are, or for a frozen backbone its head and the split's features."""
    if model.network.frozen is None:
        return model, split
    found, _ = _featured(model, [split], {}, device, progress)
    return Head(model), found[0]


def training_sample(task: Fitting, splits: Splits, device: torch.device, progress: Progress) -> Split:
    """Some of the training images of `splits`, unaugmented, as the task's model takes them."""
    chosen = sample(splits.train)
    if not isinstance(task.model, Head):
        return chosen
    if task.splits.train is not splits.train:  # its features are there, the images as they are first
        own = task.splits.train.part(np.arange(len(splits.train)))
        return sample(own)
    # A part is another set of features than the whole, and so must be named otherwise.
    named = replace(chosen, fingerprint=f"{chosen.fingerprint}, {len(chosen)} of them")
    return split_on_features(task.model.whole, named, device, progress)[1]


def _featured_splits(
    model: Classifier,
    splits: Splits,
    names: Sequence[str],
    views: dict[str, Views],
    device: torch.device,
    progress: Progress,
    world: World,
) -> tuple[Splits, dict[str, Any]]:
    """The splits with features for the pixels of those `names`, and what that took.

    Where they are parts of a whole, as in a cross-validation, its features are computed, once for all of its folds.
    """
    whole = splits.whole
    if whole is None:
        found, costs = _featured(model, [splits[name] for name in names], views, device, progress, world)
        return replace(splits, **{split.name: split for split in found}), costs
    view = views["train"]
    (features,), costs = _featured(model, [whole], {whole.name: view}, device, progress, world)
    parts = {
        name: _part_of(np.asarray(features.pixels), whole, splits[name], view.count if name == "train" else 1)
        for name in names
    }
    return replace(splits, **parts), costs


def _part_of(features: np.ndarray, whole: Split, part: Split, views: int) -> Split:
    """`part` of `whole` with its rows of the whole's `features`, view after view."""
    positions = whole.places_of(part)
    rows = np.concatenate([positions + view * len(whole) for view in range(views)])
    return replace(as_split(part, features, views), rows=rows)


def _featured(
    model: Classifier,
    splits: list[Split],
    views: dict[str, Views],
    device: torch.device,
    progress: Progress,
    world: World = ALONE,
) -> tuple[list[Split], dict[str, Any]]:
    """Each split with features for pixels, and what that took."""
    began = time.perf_counter()
    wanted = [
        views.get(split.name) or Views(1, build_augmentations((), model.classes), 0) for split in splits
    ]
    sets = [feature_set(model, split, view) for split, view in zip(splits, wanted, strict=True)]
    total = sum(found.shape[0] for found in sets)
    engine, computed, before = None, 0, 0
    for found, split, view in zip(sets, splits, wanted, strict=True):
        if not found.complete:
            engine = engine or Engine(model, split.image_shape, device)
            offset = before
            computed += compute(
                found, split, view, engine, lambda done, _, o=offset: progress(o + done, total), world
            )
        before += found.shape[0]
    seconds = time.perf_counter() - began
    costs = {
        **model.frozen_part().about,
        "weights": sets[0].about["weights"],
        "features_per_image": sets[0].shape[-1] * sets[0].shape[1] * sets[0].shape[2],
        "views": wanted[0].count,
        "images": total,
        "computed": computed,
        "seconds": round(seconds, 3),
        "images_per_second": round(computed / seconds, 1),
        "engine": engine.name if engine else "cache",
        "parity": engine.parity if engine else None,
        "mebibytes": round(sum(2 * _numbers(found.shape) for found in sets) / 2**20, 1),
    }
    if engine:
        del engine
        release_freed_memory()
    opened = [as_split(s, found.open(), v.count) for s, found, v in zip(splits, sets, wanted, strict=True)]
    return opened, costs


def _views(recipe: Recipe, classes: int, count: int) -> Views:
    return Views(count, build_augmentations(recipe.augment, classes), recipe.fit.seed)


def _check_views(recipe: Recipe, count: int) -> None:
    names = [choice.name for choice in recipe.augment]
    if count > 1 and not names:
        raise InputError(
            f"model.views={count}: without augmentations all views of an image are the same. Add [[augment]] tables "
            "to the recipe, or set model.views=1."
        )
    if count == 1 and names:
        raise InputError(
            f"augment: {', '.join(names)} would change nothing, because a frozen backbone sees each image once. Set "
            "model.views=4 to cache three augmented versions of each training image beside the original."
        )
    mixing = sorted({"mixup", "cutmix"} & set(names))
    if mixing:
        raise InputError(
            f"augment: {', '.join(mixing)} mixes labels, which cached features do not keep. Remove it, or unfreeze "
            "the backbone with model.unfreeze=all."
        )


def _numbers(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
