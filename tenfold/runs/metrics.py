"""Pure functions of labels and probabilities; each estimate comes with its 95 % interval.

Shapes throughout: `labels` (N,) int64, `probabilities` (N, K) float, `class_names` K strings in the order of
the columns. Everything returned is plain Python (numbers, lists, dictionaries; None where a value is not
defined) or a NumPy array, so that it can go into JSON without NaN.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import InputError
from tenfold.runs.curves import roc_auc
from tenfold.runs.resampling import (
    Margins,
    cluster_counts,
    clusters_of,
    margins_of,
    ratio,
    resampled,
    widening,
)

Array = NDArray[Any]
# [low, high] of each class's precision, recall and F1; None where nothing is known.
ClassEnds = tuple[list[list[float] | None], list[list[float] | None], list[list[float] | None]]

CALIBRATION_BINS = 15
# Of more classes a matrix is kept as the cells that are not 0: 3,000 classes' rows were 200 MB of JSON.
MATRIX_CLASSES = 1000
TEMPERATURES = (0.05, 20.0)
# A temperature is a logistic regression of one parameter, and ten events for each is the rule: P. Peduzzi et al.,
# "A simulation study of the number of events per variable in logistic regression analysis", J. Clin. Epid. 49 (1996).
TEMPERATURE_MISTAKES = 10


def measure(
    labels: Array,
    probabilities: Array,
    class_names: Sequence[str],
    seed: int = 0,
    groups: Array | None = None,
) -> dict[str, Any]:
    """Every metric of one split, as `metrics.json` keeps it.

    Averages over classes follow scikit-learn: "macro" is the plain mean over the classes that occur among the
    labels or the predictions, "weighted" weighs each class by its number of labels, and a ratio whose
    denominator is zero counts as 0. ROC AUC is one class against the rest, averaged over the classes for
    which it exists. Per class, what cannot be known (the recall of a class without images) is None.
    Intervals (`..._ci95`) of the accuracy and of each class's precision, recall and F1 are exact (`exact_interval`);
    those of the averages take their variance from a bootstrap (`averages_intervals`).

    Images of one of the `groups` (N,) are no independent evidence: with them, every interval is that of resampled
    groups (`Margins`), and their number is kept as "groups". An image of group -1 stands alone.

    `seed` makes the bootstrap repeatable. Raises InputError when the arrays are empty, do not fit together or
    hold values that are not finite.
    """
    labels, probabilities = checked(labels, probabilities, class_names)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, len(class_names))
    clusters = None if groups is None or not len(groups) else clusters_of(groups)
    margins = resampled(matrix, labels, predicted, clusters, np.random.default_rng(seed))
    trials = None if clusters is None else int(clusters.max()) + 1
    intervals = average_intervals(matrix, margins, trials)
    ends = (
        _exact_ends(matrix)
        if clusters is None
        else _grouped_ends(matrix, margins, cluster_counts(labels, predicted, clusters, len(class_names)))
    )
    per_class = class_metrics(matrix, roc_aucs(labels, probabilities), class_names, ends)
    return {
        "n": len(labels),
        "loss": cross_entropy(labels, probabilities),
        **averages(matrix),
        **{f"{name}_ci95": interval for name, interval in intervals.items()},
        "roc_auc_macro": _mean([values["roc_auc"] for values in per_class.values()]),
        "per_class": per_class,
        "confusion_matrix": stored_matrix(matrix),
        "expected_calibration_error": expected_calibration_error(labels, probabilities),
        **({} if clusters is None else {"groups": trials}),
    }


def checked(labels: Array, probabilities: Array, class_names: Sequence[str]) -> tuple[Array, Array]:
    """Labels as int64 (N,) and probabilities as float64 (N, K). Raises InputError when they do not fit."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if len(labels) == 0:
        raise InputError("there are no predictions to measure; give a split with at least one image.")
    if probabilities.shape != (len(labels), len(class_names)):
        raise InputError(
            f"probabilities have the shape {probabilities.shape}; expected "
            f"{(len(labels), len(class_names))}: a row per label and a column per class name."
        )
    if not np.isfinite(probabilities).all():
        rows = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
        raise InputError(
            f"{len(rows)} predictions are not finite numbers (the first is number {rows[0]}): the model's "
            "weights are damaged or its training diverged. Train again with a lower learning rate."
        )
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()}; expected 0 to {len(class_names) - 1}."
        )
    return labels.astype(np.int64), probabilities


def confusion_matrix(labels: Array, predicted: Array, classes: int) -> Array:
    """(K, K) counts: row = true class, column = predicted class."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def stored_matrix(matrix: Array) -> list[list[int]] | dict[str, Any]:
    """A confusion matrix (K, K) as `metrics.json` keeps it: its rows; of many classes, the cells that are not 0."""
    if len(matrix) <= MATRIX_CLASSES:
        return matrix.tolist()
    rows, columns = np.nonzero(matrix)
    cells = np.stack([rows, columns, matrix[rows, columns]], axis=1)
    return {"classes": len(matrix), "cells": cells.tolist()}


def matrix_of(measured: Mapping[str, Any]) -> Array:
    """The confusion matrix (K, K), int32, of a split as `metrics.json` keeps it."""
    stored = measured["confusion_matrix"]
    if isinstance(stored, list):
        return np.array(stored, np.int32)
    matrix = np.zeros((stored["classes"], stored["classes"]), np.int32)
    rows, columns, counts = np.array(stored["cells"], np.int64).T
    matrix[rows, columns] = counts
    return matrix


def cross_entropy(labels: Array, probabilities: Array) -> float:
    """Mean of -log(probability of the true class); a probability of 0 counts as 2e-16, as in scikit-learn."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(true, np.finfo(np.float64).eps, None)).mean())


def averages(matrix: Array) -> dict[str, float]:
    """Accuracy, and the macro and weighted averages over classes, of a confusion matrix (K, K)."""
    return {name: float(value) for name, value in _averages(*margins_of(matrix)).items()}


def _averages(right: Array, support: Array, predicted: Array) -> dict[str, Array]:
    """Accuracy and the macro and weighted averages over the last axis of (..., K) counts."""
    seen = support + predicted > 0
    share = support / support.sum(axis=-1, keepdims=True)
    values = {
        "precision": ratio(right, predicted),
        "recall": ratio(right, support),
        "f1": ratio(2 * right, support + predicted),
    }
    return {
        "accuracy": right.sum(axis=-1) / support.sum(axis=-1),
        **{f"{name}_macro": value.sum(axis=-1) / seen.sum(axis=-1) for name, value in values.items()},
        **{f"{name}_weighted": (value * share).sum(axis=-1) for name, value in values.items()},
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


# Per class --------------------------------------------------------------------------------------------------


def class_metrics(
    matrix: Array, aucs: list[float | None], class_names: Sequence[str], ends: ClassEnds
) -> dict[str, dict[str, Any]]:
    """The metrics of each class, by its name; `ends` are the intervals of precision, recall and F1."""
    right, support, predicted = margins_of(matrix)
    others = matrix.sum() - support
    precision, recall, f1 = ends
    return {
        name: {
            "precision": _share(right[k], predicted[k], 0.0 if support[k] else None),
            "precision_ci95": precision[k],
            "recall": _share(right[k], support[k]),
            "recall_ci95": recall[k],
            "f1": _share(2 * right[k], support[k] + predicted[k]),
            "f1_ci95": f1[k],
            "support": int(support[k]),
            "roc_auc": aucs[k],
            "false_positive_rate": _share(predicted[k] - right[k], others[k]),
        }
        for k, name in enumerate(class_names)
    }


def _exact_ends(matrix: Array) -> ClassEnds:
    """Exact intervals of each class's precision, recall and F1.

    F1 rises with right / (images of the class or taken for it), which is a proportion, so that the ends of that one's
    interval give F1's.
    """
    right, support, predicted = margins_of(matrix)
    precision, recall, either = (
        list(map(_ends, right, whole)) for whole in (predicted, support, support + predicted - right)
    )
    return precision, recall, _f1_ends(either)


def _grouped_ends(matrix: Array, drawn: Margins, counts: Margins) -> ClassEnds:
    """The same by `effective_interval`, with the variance of margins `drawn` by whole groups.

    counts: of each class, the groups with an image that is taken for it, with one of it, and with either.
    """
    right, support, predicted = margins_of(matrix)
    hits, ours, theirs = drawn
    wholes = ((predicted, theirs), (support, ours), (support + predicted - right, ours + theirs - hits))
    precision, recall, either = (
        list(map(_resampled_ends, right, whole, hits.T, resampled_whole.T, groups))
        for (whole, resampled_whole), groups in zip(wholes, counts, strict=True)
    )
    return precision, recall, _f1_ends(either)


def _resampled_ends(
    right: float, whole: float, hits: Array, wholes: Array, groups: int
) -> list[float] | None:
    """The interval of right / whole by its resamples hits / wholes (R,), which are of so many groups."""
    if not whole:
        return None
    there = wholes > 0
    variance = float((hits[there] / wholes[there]).var()) if there.any() else 0.0
    return effective_interval(float(right / whole), variance * widening(int(groups)) ** 2, int(groups))


def _ends(successes: float, trials: float) -> list[float] | None:
    return [float(bound) for bound in exact_interval(successes, trials)] if trials else None


def _f1_ends(either: list[list[float] | None]) -> list[list[float] | None]:
    """Intervals of F1 by those of right / (images of the class or taken for it)."""
    return [[2 * end / (1 + end) for end in ends] if ends else None for ends in either]


def _share(part: float, whole: float, otherwise: float | None = None) -> float | None:
    return float(part / whole) if whole else otherwise


def roc_aucs(labels: Array, probabilities: Array) -> list[float | None]:
    """Area under the ROC curve of each class against the rest; None where a class has no or every image."""

    def area(k: int) -> float | None:
        truth = labels == k
        return roc_auc(truth, probabilities[:, k]) if 0 < truth.sum() < len(truth) else None

    return [area(k) for k in range(probabilities.shape[1])]


# Intervals --------------------------------------------------------------------------------------------------


def exact_interval(
    successes: Array | float, trials: Array | float, confidence: float = 0.95
) -> tuple[Array, Array]:
    """Clopper-Pearson interval of one or many proportions: it covers at least that often, whatever the truth.

    Its ends are quantiles of beta distributions, so that the counts need not be whole numbers. 0 to 1 without trials.
    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934). Coverage beside other intervals: docs/statistics.md.
    """
    from scipy.special import betaincinv

    successes, trials = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    wrong, tail = np.maximum(trials - successes, 0), (1 - confidence) / 2
    # A beta distribution needs parameters above 0; what stands there at the ends is not looked at.
    low = betaincinv(np.where(successes > 0, successes, 1), wrong + 1, tail)
    high = betaincinv(successes + 1, np.where(wrong > 0, wrong, 1), 1 - tail)
    return np.where(successes > 0, low, 0.0), np.where(wrong > 0, high, 1.0)


def effective_interval(estimate: float, variance: float, images: int) -> list[float]:
    """95 % interval of a share between 0 and 1 that is no plain proportion, from its estimate and variance.

    It is the exact interval of the number of trials that would give a proportion that variance (E. L. Korn and B. I.
    Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from
    survey data", Survey Methodology 24, 1998); without a variance to go by, that of `images`.
    """
    spread = estimate * (1 - estimate)
    trials = spread / variance if spread > 0 and variance > 0 else images
    return [float(bound) for bound in exact_interval(estimate * trials, trials)]


def accuracy_interval(correct: Array, groups: Array | None = None) -> list[float]:
    """95 % interval of the share of `correct` (N,) bool: exact, or of whole `groups` (N,) where there are some.

    An image of group -1 stands alone. The variance is that of the groups' sums, enlarged by the little that a few
    groups say of it (`widening`).
    """
    right = np.asarray(correct, dtype=np.float64)
    if groups is None or not len(groups):
        low, high = exact_interval(right.sum(), len(right))
        return [float(low), float(high)]
    clusters, share = clusters_of(groups), float(right.mean())
    count = int(clusters.max()) + 1
    variance = float(np.square(np.bincount(clusters, right - share)).sum()) / len(right) ** 2
    return effective_interval(share, variance * widening(count) ** 2, count)


def average_intervals(matrix: Array, drawn: Margins, groups: int | None = None) -> dict[str, list[float]]:
    """95 % intervals, [low, high], of each average by its name: exact for the accuracy, else `effective_interval`.

    Their variances are those of the resampled margins `drawn`. Where images come in `groups`, so is the accuracy's,
    and they are enlarged by the little that a few groups say of them.
    """
    estimates, total = _averages(*margins_of(matrix)), int(matrix.sum())
    enlarged = 1.0 if groups is None else widening(groups) ** 2
    intervals = {
        name: effective_interval(float(estimates[name]), float(values.var()) * enlarged, groups or total)
        for name, values in _averages(*drawn).items()
    }
    if groups is not None:
        return intervals
    low, high = exact_interval(np.trace(matrix), total)
    return intervals | {name: [float(low), float(high)] for name in ("accuracy", "recall_weighted")}


# Calibration ------------------------------------------------------------------------------------------------


def reliability(
    labels: Array, probabilities: Array, bins: int = CALIBRATION_BINS, weights: Array | None = None
) -> dict[str, Array]:
    """Equal-width bins of the highest probability: `count`, mean `confidence` and `accuracy` of each (bins,).

    With `weights` (N,), an image counts so much. Empty bins have the confidence and accuracy 0 and the count 0.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counted = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    count = np.bincount(bin_of, weights, minlength=bins)
    return {
        "count": count,
        "confidence": ratio(np.bincount(bin_of, counted * confidence, bins), count),
        "accuracy": ratio(np.bincount(bin_of, counted * correct, bins), count),
    }


def expected_calibration_error(
    labels: Array, probabilities: Array, bins: int = CALIBRATION_BINS, weights: Array | None = None
) -> float:
    """Mean gap between confidence and accuracy over the bins of `reliability`, weighted by their counts.

    C. Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.
    """
    table = reliability(labels, probabilities, bins, weights)
    return float(np.abs(table["accuracy"] - table["confidence"]) @ table["count"] / table["count"].sum())


def fit_temperature(labels: Array, probabilities: Array, weights: Array | None = None) -> float | None:
    """The temperature whose softmax(log(probabilities) / temperature) has the lowest cross-entropy.

    `weights` (N,) is how much each image counts in it, alike by default.

    Fit it on the validation split, never on the test split. Guo et al. 2017, section 4.2. None where the images
    do not determine one: with fewer than `TEMPERATURE_MISTAKES` mistakes, since without any mistake the lower
    temperature is always the better, and where the best lies at an end of `TEMPERATURES`.
    """
    from scipy.optimize import minimize_scalar

    if (probabilities.argmax(axis=1) != labels).sum() < TEMPERATURE_MISTAKES:
        return None
    logs = np.log(np.clip(np.asarray(probabilities, dtype=np.float64), 1e-30, None))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        peak = scaled.max(axis=1)
        losses = np.log(np.exp(scaled - peak[:, None]).sum(axis=1)) + peak - scaled[rows, labels]
        return float(np.average(losses, weights=weights))

    ends = np.log(TEMPERATURES)
    best: float = minimize_scalar(loss, bounds=ends, method="bounded").x  # pyright: ignore[reportAttributeAccessIssue]
    return None if np.abs(best - ends).min() < 1e-3 else float(np.exp(best))


def with_temperature(probabilities: Array, temperature: float) -> Array:
    """(N, K): the probabilities after dividing their logits by `temperature`."""
    scaled = np.log(np.clip(np.asarray(probabilities, dtype=np.float64), 1e-30, None)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def accuracy_by_coverage(labels: Array, probabilities: Array) -> tuple[Array, Array]:
    """Coverage (N,) and accuracy (N,) when only the most confident 1, 2, ... N images are answered."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    correct = (probabilities.argmax(axis=1) == labels)[order]
    answered = np.arange(1, len(labels) + 1)
    return answered / len(labels), np.cumsum(correct) / answered
