"""What suits a data set, measured on a few of its images: learning from scratch, or features of a backbone.

Both learn from small parts of the training images, each twice the one before, and are judged on the same validation
images. A power law through each one's errors says what it would reach on all of the training images (Hestness et al.,
arXiv 1712.00409). Parts are doubled until the two can be told apart, or until `MOST` images. A probe without a time
limit does the same work everywhere, and gives the same answer for the same seed.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from tenfold.core.axes import channels_first, channels_last
from tenfold.core.randomness import seed_for
from tenfold.data import Split, Splits
from tenfold.inference.engines import Engine
from tenfold.inference.evaluation import predict_split
from tenfold.models import Classifier, build_model
from tenfold.recipe import Recipe, load_recipe
from tenfold.training.feature_cache import as_split
from tenfold.training.heads import StrengthPath, measure_features
from tenfold.training.learner import Learner
from tenfold.training.transfer import Head
from tenfold.workbench.candidates import image_seconds
from tenfold.workbench.changes import CHANGES, Change, without_mirroring
from tenfold.workbench.scaling import scaled_to

# Training images of the first part, and of the last at most; validation images that judge them, at most.
FIRST, MOST, JUDGES = 250, 2000, 500
# Images that show how fast a backbone is.
TIMED = 64
# The recipe that stands for learning from scratch: the others of the ladder are slower and a little better.
SCRATCH = "fast-86"
# How an error falls with the images, errors ~ images ** -slope: mean and deviation of what is believed before
# anything is measured. A judgement after looking at curves of CIFAR-10 and MNIST, fitted to no set of data; wide, so
# that two or three measured points outweigh it. Data whose first points lie at chance rest on it alone.
SLOPES = {"scratch": (0.45, 0.15), "features": (0.25, 0.1)}
# How many standard errors apart two predicted errors are told apart.
CLEAR = 2.0
# A probe's head tries these strengths only.
STRENGTHS = [0.3, 0.03, 0.003]


@dataclass(frozen=True)
class Point:
    """What was reached with so many training images: which judges were right, and each one's loss."""

    images: int
    right: np.ndarray
    losses: np.ndarray

    @property
    def log_error(self) -> float:
        """Of the error rate, with half an image more on either side, so that none is certain."""
        return float(np.log((np.sum(~self.right) + 0.5) / (len(self.right) + 1)))

    @property
    def variance(self) -> float:
        """Of `log_error`, by the number of judges."""
        error = np.exp(self.log_error)
        return float((1 - error) / (error * (len(self.right) + 1)))


@dataclass(frozen=True)
class Forecast:
    """The logarithm of an error rate that is expected on all training images, and its variance."""

    log_error: float
    variance: float

    def better_by(self, gain: float) -> "Forecast":
        """With an error that is smaller by a logarithm, of which other data may have half or half as much again."""
        return Forecast(self.log_error - gain, self.variance + (gain / 2) ** 2)

    @property
    def accuracy(self) -> float:
        """The share of images that will be right."""
        return 1 - float(np.exp(min(self.log_error, 0.0)))


@dataclass(frozen=True)
class Evidence:
    """What the probe found: the points of either curve, and which changes of training images helped.

    `mirror`: mirrored images; `added`: names of `CHANGES`. `augment_words` says what was measured of all of them.
    `features` is empty where no backbone is at hand. `features_rate` is how many images a second pass the backbone;
    0 where that was not measured.
    """

    scratch: tuple[Point, ...]
    features: tuple[Point, ...]
    mirror: bool
    augment_words: str
    images: int
    features_rate: float = 0.0
    added: tuple[str, ...] = ()
    gains: tuple[float, float] = (0.0, 0.0)

    def augmented(self, recipe: Recipe) -> Recipe:
        """A fast recipe with the changes of training images that helped."""
        recipe = recipe if self.mirror else without_mirroring(recipe)
        for name in self.added:
            recipe = CHANGES[name](recipe)
        return recipe

    def better_by(self, scratch: float, features: float = 0.0) -> "Evidence":
        """The same for ways whose errors are smaller than the probe's by these logarithms, as CIFAR-10's are."""
        return replace(self, gains=(scratch, features))

    @property
    def forecasts(self) -> tuple[Forecast, Forecast]:
        """For learning from scratch and for features, on all training images."""
        scratch, features = self.gains
        return (
            forecast(self.scratch, self.images, "scratch").better_by(scratch),
            forecast(self.features, self.images, "features").better_by(features),
        )

    @property
    def standard_errors(self) -> float:
        """How far features are ahead of learning from scratch on all images, in standard errors."""
        scratch, features = self.forecasts
        return (scratch.log_error - features.log_error) / (scratch.variance + features.variance) ** 0.5

    def words(self) -> str:
        """Both curves' last points, and what they come to."""
        scratch, features = self.forecasts
        at = self.scratch[-1]
        return (
            f"on {at.images:,} images and {len(at.right):,} judges, features reach "
            f"{self.features[-1].right.mean():.1%} and learning from scratch {at.right.mean():.1%}; on all "
            f"{self.images:,} that comes to about {features.accuracy:.0%} and {scratch.accuracy:.0%}"
        )


def forecast(points: tuple[Point, ...], images: int, kind: str) -> Forecast:
    """Extend a curve to so many `images`: a line in the logarithms, its slope drawn to the guess in `SLOPES`."""
    mean, deviation = SLOPES[kind]
    # In the last point as origin, so that the level there and the slope are nearly independent.
    distances = np.log([point.images / points[-1].images for point in points])
    design = np.stack([np.ones(len(points)), -distances], 1)
    weights = 1 / np.array([point.variance for point in points])
    precision = (design.T * weights) @ design + np.diag([0.0, deviation**-2])
    pulled = (design.T * weights) @ np.array([point.log_error for point in points])
    covariance = np.linalg.inv(precision)
    level = covariance @ (pulled + np.array([0.0, mean / deviation**2]))
    there = np.array([1.0, -np.log(images / points[-1].images)])
    return Forecast(float(there @ level), float(there @ covariance @ there))


def probe(
    splits: Splits,
    sizing: dict[str, Any],
    backbone: Recipe | None,
    device: torch.device,
    seed: int,
    until: float = float("inf"),
) -> Evidence:
    """Measure both ways on parts of `splits`, which have the images as the backbone takes them.

    `sizing` are the overrides with which the fast recipes take them; `backbone` is the recipe of the features, or
    None where there are no weights. With `until`, of `time.perf_counter`, no part is begun that would end after it;
    where that is true of the first, the evidence is only how fast the backbone is.
    """
    pool, judges = _deal(splits, seed)
    few = replace(splits, train=pool, validation=judges)
    scratch = _Scratch(_shrunk(few, sizing), sizing, device, seed)
    # Opened before anything is measured, so that what it takes is known to be gone.
    features = _Features(few, backbone, device) if backbone else None
    found = Evidence((), (), True, "", len(splits.train))
    if features:
        found = replace(found, features_rate=features.rate)
    for images in _parts(len(pool)):
        began = time.perf_counter()
        if not scratch.fits(images, until - (features.seconds_for(images) if features else 0.0)):
            break
        reached = scratch.point(images)
        found = replace(
            found,
            scratch=(*found.scratch, reached),
            features=(*found.features, features.point(images)) if features else (),
            mirror=scratch.mirror,
            augment_words=scratch.words,
            features_rate=features.rate if features else 0.0,
        )
        # The next part has twice the images, and takes the square root of two as long.
        took = time.perf_counter() - began
        if _clear(found, scratch) or time.perf_counter() + 1.4 * took > until:
            break
    if found.scratch and not (found.features and found.standard_errors > 0):
        added = scratch.changes(found.scratch[-1], until)
        found = replace(found, added=added, augment_words=scratch.words)
    return found


def _clear(found: Evidence, scratch: "_Scratch") -> bool:
    """Whether more images could hardly change what is chosen."""
    if not found.features:
        return scratch.settled
    if abs(found.standard_errors) < CLEAR:
        return False
    return found.standard_errors > 0 or scratch.settled


def _parts(most: int) -> Iterator[int]:
    """Sizes of the parts of so many images, each twice the one before; at least two where that is possible."""
    images = min(FIRST, max(1, most // 2))
    while images < min(most, MOST):
        yield images
        images *= 2
    yield min(most, MOST)


def _deal(splits: Splits, seed: int) -> tuple[Split, Split]:
    """Training images to learn from, in a random order, and images to judge by.

    Where there are few validation images, up to a third of the training images judge beside them.
    """
    generator = np.random.default_rng(seed_for(seed, "probe"))
    order = generator.permutation(len(splits.train))
    judges = np.sort(generator.permutation(len(splits.validation))[:JUDGES])
    lent = min(JUDGES - len(judges), len(splits.train) // 3)
    pool = splits.train.part(order[lent:][:MOST])
    own = splits.validation.part(judges)
    return pool, _joined(own, splits.train.part(np.sort(order[:lent]))) if lent else own


def _joined(one: Split, other: Split) -> Split:
    """The images of both, which lie in the same array of pixels."""
    return replace(
        one,
        rows=np.concatenate([one.rows, other.rows]),
        labels=np.concatenate([one.labels, other.labels]),
        paths=[*one.paths, *other.paths],
        folders=(len(one) + len(other),),
    )


def _shrunk(splits: Splits, sizing: dict[str, Any]) -> Splits:
    """The splits with their images brought to the size at which they are learned from scratch."""
    data = load_recipe(SCRATCH, sizing).data
    large = splits.image_shape[1] == splits.image_shape[2] > data.unequal_size
    size = data.image_size or (data.unequal_size if large else None)
    if size is None or splits.image_shape[1:] == (size, size):
        return splits
    return replace(splits, train=_resized(splits.train, size), validation=_resized(splits.validation, size))


def _resized(split: Split, size: int) -> Split:
    blocks = [
        F.interpolate(
            channels_first(torch.from_numpy(split.images(slice(start, start + 64)))).float(),
            (size, size),
            mode="bilinear",
            antialias=True,
        )
        for start in range(0, len(split), 64)
    ]
    pixels = channels_last(torch.cat(blocks).round().clamp(0, 255).to(torch.uint8))
    return replace(split, pixels=pixels.contiguous().numpy(), rows=np.arange(len(split)))


class _Scratch:
    """Learning from scratch, with mirrored images and without until it is clear which is better; other changes."""

    def __init__(self, splits: Splits, sizing: dict[str, Any], device: torch.device, seed: int) -> None:
        self.splits, self.device = splits, device
        self.recipe = load_recipe(SCRATCH, {**sizing, "fit.seed": seed})
        self.mirror, self.settled, self.words, self.seconds = True, False, "", 0.0

    def point(self, images: int) -> Point:
        """What is reached with the first so many training images, in the better of the two ways."""
        few = replace(self.splits, train=self.splits.train.part(np.arange(images)))
        if self.settled:
            return self._reached(few, self.mirror)
        mirrored, plain = (self._reached(few, mirror) for mirror in (True, False))
        gain = plain.losses - mirrored.losses
        error = float(gain.std() / len(gain) ** 0.5) + 1e-9
        self.mirror = bool(gain.mean() >= 0)
        self.settled = abs(float(gain.mean())) > CLEAR * error
        verdict = "helps" if self.mirror else "harms"
        self.words = (
            f"mirroring {verdict}: validation loss {mirrored.losses.mean():.3f} with it, "
            f"{plain.losses.mean():.3f} without"
        )
        return mirrored if self.mirror else plain

    def changes(self, plain: Point, until: float) -> tuple[str, ...]:
        """Which of `CHANGES` help beyond the noise of the judges, each alone beside the `plain` way's last point."""
        few = replace(self.splits, train=self.splits.train.part(np.arange(plain.images)))
        helped, tried = [], []
        for name, change in CHANGES.items():
            if time.perf_counter() + 1.5 * self.seconds > until:
                break
            losses = self._reached(few, self.mirror, change).losses
            gain = plain.losses - losses
            error = float(gain.std() / len(gain) ** 0.5) + 1e-9
            helps = float(gain.mean()) > CLEAR * error
            tried.append(f"{name} {'helps' if helps else 'does not help'}: {losses.mean():.3f}")
            helped += [name] if helps else []
        self.words = "; ".join([self.words, *tried])
        return tuple(helped)

    def fits(self, images: int, until: float) -> bool:
        """Whether a point of so many images ends by then, by what a few images take."""
        if until == float("inf"):
            return True
        recipe = self._recipe(images, mirror=True)
        passes = (1 if self.settled else 2) * sum(recipe.fit.work(recipe.fit.epochs))
        taking = passes * images * image_seconds(recipe, self.splits, self.device)
        return time.perf_counter() + taking <= until

    def _reached(self, few: Splits, mirror: bool, change: Change | None = None) -> Point:
        began = time.perf_counter()
        learner = self._learner(few, mirror, change)
        for epoch in range(1, learner.recipe.fit.epochs + 1):
            learner.learn(epoch)
        point = _point(learner.model, few, self.device)
        self.seconds = time.perf_counter() - began
        return point

    def _learner(self, few: Splits, mirror: bool, change: Change | None = None) -> Learner:
        recipe = self._recipe(len(few.train), mirror)
        recipe = recipe if change is None else change(recipe)
        model = build_model(recipe.model, few.image_shape, len(few.class_names), seed=recipe.fit.seed)
        return Learner(model, few, recipe, device=self.device)

    def _recipe(self, images: int, mirror: bool) -> Recipe:
        # A handful of images would take hundreds of epochs, to no end: a probe has those of a few hundred.
        return scaled_to(self.recipe if mirror else without_mirroring(self.recipe), max(images, FIRST))


class _Features:
    """A backbone's features under a quick head; each image passes the backbone once."""

    def __init__(self, splits: Splits, recipe: Recipe, device: torch.device) -> None:
        self.splits, self.device = splits, device
        self.recipe = load_recipe(
            recipe, {"model.strengths": STRENGTHS, "fit.epochs": len(STRENGTHS), "model.views": 1}
        )
        shape = splits.image_shape
        self.model = build_model(
            self.recipe.model, shape, len(splits.class_names), seed=recipe.fit.seed, pretrained=True
        )
        self.engine = Engine(self.model, shape, device)
        self.engine(splits.train.images(slice(0, 1)))
        self.seconds, self.encoded = 0.0, 0
        # Of the first training images: how long they take is the first rate.
        self.judges: Split | None = None
        self.known = self._encode(splits.train.images(slice(0, TIMED)))

    def _few(self, train: Split) -> Splits:
        """Features to learn from, with those of the judges."""
        if self.judges is None:
            split = self.splits.validation
            self.judges = as_split(split, self._encode(split.images(slice(None))), 1)
        return replace(self.splits, train=train, validation=self.judges)

    @property
    def rate(self) -> float:
        """Images a second, of all so far."""
        return self.encoded / self.seconds

    def seconds_for(self, images: int) -> float:
        """What a point of so many training images takes beyond what is known."""
        judges = 0 if self.judges else len(self.splits.validation)
        return (max(0, images - len(self.known)) + judges) / self.rate

    def _encode(self, images: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        features = self.engine(images)
        self.seconds += time.perf_counter() - began
        self.encoded += len(images)
        return features

    def point(self, images: int) -> Point:
        """What a head reaches that learns from the first so many training images."""
        if images > len(self.known):
            new = self._encode(self.splits.train.images(slice(len(self.known), images)))
            self.known = np.concatenate([self.known, new])
        train = as_split(self.splits.train.part(np.arange(images)), self.known[:images], 1)
        few = self._few(train)
        head = Head(self.model)
        measure_features(head.network, train)
        method = partial(StrengthPath, self.model.frozen_part().strengths)
        learner = Learner(head, few, self.recipe, device=self.device, method=method)
        reached = []
        for epoch in range(1, len(STRENGTHS) + 1):
            learner.learn(epoch)
            reached.append(_point(head, few, self.device))
        return min(reached, key=lambda point: point.losses.mean())


def _point(model: Classifier, few: Splits, device: torch.device) -> Point:
    told = predict_split(model, few.validation, few.class_names, device)
    chance = np.clip(told.probabilities[np.arange(len(told.labels)), told.labels], 1e-7, 1.0)
    return Point(len(few.train), told.probabilities.argmax(1) == told.labels, -np.log(chance))
