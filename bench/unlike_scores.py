"""The scores that `unlike.py` compares: each learns from training images and is larger for pictures more unlike them.

Sources: Hendrycks and Gimpel 2017 (probability), Liu et al. 2020 (energy), Hendrycks et al. 2022 (largest logit), Lee
et al. 2018 (Mahalanobis distance, one covariance), Ren et al. 2021 (relative), Sun et al. 2022 (nearest neighbours),
Wang et al. 2022 (ViM's residual), Ledoit and Wolf 2004 (shrinkage).
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from tenfold.core.axes import channels_first
from tenfold.inference.calibrate import learn_familiarity
from tenfold.inference.familiarity import Seen as Sample
from tenfold.inference.familiarity import pixel_statistics
from tenfold.models import Classifier

NEIGHBOURS = 10
Score = Callable[["Seen"], np.ndarray]


class Seen:
    """What a model makes of n images.

    logits (n, K); features (n, D): what its last linear layer gets; stages: for some convolutions from first to last
    the means (n, F) of their channels; statistics (n, S): of the pixels alone.
    """

    def __init__(self, model: Classifier, pixels: np.ndarray) -> None:
        parts = [_run(model, pixels[start : start + 250]) for start in range(0, len(pixels), 250)]
        self.logits, self.features = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        self.stages = [np.concatenate(stage) for stage in zip(*(part[2] for part in parts), strict=True)]
        self.statistics = pixel_statistics(pixels)


@torch.inference_mode()
def _run(model: Classifier, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    found: list[Tensor] = []
    maps: list[Tensor] = []
    handles = [linear.register_forward_pre_hook(lambda _, given: found.append(given[0].flatten(1)))]
    for module in model.modules():
        if isinstance(module, nn.Conv2d) or module.__class__.__name__.startswith("BatchNorm"):
            handles.append(
                module.register_forward_hook(lambda _, __, out: maps.append(out.float().mean((2, 3))))
            )
    logits = model(channels_first(torch.from_numpy(pixels)))
    for handle in handles:
        handle.remove()
    chosen = sorted({round(place) for place in np.linspace(0, len(maps) - 1, 5)})
    return logits.numpy(), found[0].numpy(), [maps[place].numpy() for place in chosen]


def scores(training: Seen, changed: np.ndarray) -> dict[str, Score]:
    """The candidates by name, learned from training images and the pixel statistics of harmless changes of them."""
    named = training.logits.argmax(1)
    sample = Sample(training.logits, training.statistics)
    familiar = learn_familiarity(sample, changed, sample)
    assert familiar is not None
    own: dict[str, Score] = {
        "as tenfold has it": lambda seen: familiar.strangeness(Sample(seen.logits, seen.statistics)),
        "logit, by class": logit_by_class(training.logits),
    }
    simple = {
        "probability": lambda seen: -softmax(seen.logits).max(1),
        "entropy": lambda seen: -(softmax(seen.logits) * np.log(softmax(seen.logits) + 1e-12)).sum(1),
        "energy": lambda seen: (
            -np.log(np.exp(seen.logits - seen.logits.max(1, keepdims=True)).sum(1)) - seen.logits.max(1)
        ),
        "largest logit": lambda seen: -seen.logits.max(1),
    }
    spaces: dict[str, Callable[[Seen], np.ndarray]] = {
        "logits": lambda seen: seen.logits,
        "features": lambda seen: seen.features,
        "pixels": lambda seen: seen.statistics,
        "stages": lambda seen: np.concatenate(seen.stages, 1),
    }
    found: dict[str, Score] = {**own, **simple}
    for name, space in spaces.items():
        known = space(training)
        if name == "pixels":
            found["pixels, changes unknown"] = partial(_from, mahalanobis(known, None), space)
            known = np.concatenate([known, changed])
        whole = mahalanobis(known, None)
        found[f"{name}: Mahalanobis"] = partial(_from, whole, space)
        if name != "pixels":
            by_class = mahalanobis(known, named)
            found[f"{name}: Mahalanobis, by class"] = partial(_from, by_class, space)
            found[f"{name}: relative"] = lambda seen, f=by_class, g=whole, s=space: f(s(seen)) - g(s(seen))
        near = neighbours(known)
        found[f"{name}: neighbours"] = partial(_from, near, space)
    residual = vim(training)
    found["features: residual (ViM)"] = residual
    for pair in (
        ("logit, by class", "pixels: Mahalanobis"),
        ("energy", "pixels: Mahalanobis"),
        ("logits: Mahalanobis", "pixels: Mahalanobis"),
        ("logit, by class", "stages: Mahalanobis"),
        ("energy", "stages: Mahalanobis"),
        ("energy", "features: neighbours"),
        ("features: Mahalanobis", "pixels: Mahalanobis"),
        ("largest logit", "pixels: Mahalanobis"),
        ("entropy", "pixels: Mahalanobis"),
        ("features: neighbours", "pixels: Mahalanobis"),
        ("stages: neighbours", "pixels: Mahalanobis"),
        ("features: relative", "pixels: Mahalanobis"),
        ("features: residual (ViM)", "pixels: Mahalanobis"),
        ("energy", "features: neighbours", "pixels: Mahalanobis"),
        ("largest logit", "features: neighbours", "pixels: Mahalanobis"),
    ):
        found[" + ".join(pair)] = either([found[name] for name in pair], training)
    for pair in (
        ("energy", "pixels: Mahalanobis"),
        ("entropy", "pixels: Mahalanobis"),
        ("largest logit", "pixels: Mahalanobis"),
        ("features: neighbours", "pixels: Mahalanobis"),
        ("stages: neighbours", "pixels: Mahalanobis"),
    ):
        found[" and ".join(pair)] = both([found[name] for name in pair], training)
    return found


def logit_by_class(training: np.ndarray) -> Score:
    """How many deviations the class's own logit lies below what training images of that class have."""
    named, own = training.argmax(1), training.max(1)
    classes = range(training.shape[1])
    rows = [own[named == each] if (named == each).sum() >= 10 else own for each in classes]
    mean, deviation = (np.array([function(row) for row in rows]) for function in (np.mean, np.std))

    def below(seen: Seen) -> np.ndarray:
        found = seen.logits.argmax(1)
        return (mean[found] - seen.logits.max(1)) / np.maximum(deviation[found], 1e-6)

    return below


def _from(
    function: Callable[[np.ndarray], np.ndarray], space: Callable[[Seen], np.ndarray], seen: Seen
) -> np.ndarray:
    return function(space(seen))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def mahalanobis(known: np.ndarray, labels: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
    """Squared distance from the mean, or from the nearest class's, under one covariance with shrinkage."""
    scale = known.std(0) + 1e-6
    known = (known / scale).astype(np.float64)
    labels = np.zeros(len(known), int) if labels is None else labels
    present = [label for label in np.unique(labels) if (labels == label).sum() >= 2]
    means = np.stack([known[labels == label].mean(0) for label in present])
    rows = np.isin(labels, present)
    centred = known[rows] - means[np.searchsorted(present, labels[rows])]
    precision = LedoitWolf(assume_centered=True).fit(centred).precision_

    def distance(values: np.ndarray) -> np.ndarray:
        values = values / scale
        return np.min(
            [
                np.einsum("nd,de,ne->n", values - mean, precision, values - mean, optimize=True)
                for mean in means
            ],
            axis=0,
        )

    return distance


def neighbours(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Distance to the k-th nearest training image, all vectors brought to length 1."""

    def unit(values: np.ndarray) -> np.ndarray:
        return values / (np.linalg.norm(values, axis=1, keepdims=True) + 1e-9)

    tree = unit(known)

    def distance(values: np.ndarray) -> np.ndarray:
        return np.sort(-(unit(values) @ tree.T), axis=1)[:, NEIGHBOURS - 1]

    return distance


def vim(training: Seen) -> Score:
    """The part of the features outside their principal space, against the energy."""
    centre = training.features.mean(0)
    values, vectors = np.linalg.eigh(np.cov((training.features - centre).T.astype(np.float64)))
    keep = int(np.searchsorted(np.cumsum(values[::-1]) / values.sum(), 0.95)) + 1
    outside = vectors[:, : max(1, len(values) - keep)]

    def length(seen: Seen) -> np.ndarray:
        return np.linalg.norm((seen.features - centre) @ outside, axis=1)

    weight = training.logits.max(1).mean() / max(length(training).mean(), 1e-9)
    return lambda seen: weight * length(seen) - np.logaddexp.reduce(seen.logits.astype(np.float64), axis=1)


def either(parts: list[Score], training: Seen) -> Score:
    """The larger of scores; of each, how far it is above its median over training images, in its 95th percentiles."""

    def scaled(score: Score) -> Score:
        known = score(training)
        middle, spread = np.median(known), np.quantile(known, 0.95) - np.median(known) + 1e-9
        return lambda seen: (score(seen) - middle) / spread

    every = [scaled(score) for score in parts]
    return lambda seen: np.max([score(seen) for score in every], axis=0)


def both(parts: list[Score], training: Seen) -> Score:
    """How seldom training images are so strange by any of the scores: -log of their tails' product (Fisher, 1925)."""
    known = [np.sort(score(training)) for score in parts]

    def seldom(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
        """-log of the tail; beyond the largest it goes on as an exponential tail would."""
        above = len(ordered) - np.searchsorted(ordered, values)
        high, largest = ordered[int(0.9 * len(ordered))], ordered[-1]
        beyond = np.maximum(values - largest, 0) / max((largest - high) / np.log(len(ordered) / 10 + 1), 1e-9)
        return -np.log((above + 0.5) / (len(ordered) + 0.5)) + beyond

    return lambda seen: np.sum(
        [seldom(score(seen), ordered) for score, ordered in zip(parts, known, strict=True)], axis=0
    )
