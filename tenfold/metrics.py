"""Pure functions of labels and probabilities; each estimate comes with its 95 % interval.

Shapes throughout: `labels` (N,) int64, `probabilities` (N, K) float, `class_names` K strings in the order of
the columns. Everything returned is plain Python (numbers, lists, dictionaries; None where a value is not
defined) or a NumPy array, so that it can go into JSON without NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import InputError

Array = NDArray[Any]

RESAMPLES = 1000
CALIBRATION_BINS = 15
# Resamples drawn at once, so that many classes need megabytes, not gigabytes.
_CHUNK = 100


def measure(labels: Array, probabilities: Array, class_names: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Every metric of one split, as `metrics.json` keeps it.

    Averages over classes follow scikit-learn: "macro" is the plain mean over the classes that occur among the
    labels or the predictions, "weighted" weighs each class by its number of labels, and a ratio whose
    denominator is zero counts as 0. ROC AUC is one class against the rest, averaged over the classes for
    which it exists. Per class, what cannot be known (the recall of a class without images) is None.

    `seed` makes the bootstrap repeatable. Raises InputError when the arrays are empty, do not fit together or
    hold values that are not finite.
    """
    labels, probabilities = checked(labels, probabilities, class_names)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    accuracy_ci95, f1_ci95 = bootstrap_intervals(matrix, seed)
    per_class = class_metrics(matrix, roc_aucs(labels, probabilities), class_names)
    return {
        "n": len(labels),
        "loss": cross_entropy(labels, probabilities),
        "accuracy": float(np.trace(matrix) / matrix.sum()),
        "accuracy_ci95": accuracy_ci95,
        **_averages(matrix),
        "f1_macro_ci95": f1_ci95,
        "roc_auc_macro": _mean([values["roc_auc"] for values in per_class.values()]),
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
        "expected_calibration_error": expected_calibration_error(labels, probabilities),
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


def cross_entropy(labels: Array, probabilities: Array) -> float:
    """Mean of -log(probability of the true class); a probability of 0 counts as 2e-16, as in scikit-learn."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(true, np.finfo(np.float64).eps, None)).mean())


def _averages(matrix: Array) -> dict[str, float]:
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    seen = support + predicted > 0
    right = np.diag(matrix)
    values = {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + predicted),
    }
    macro = {f"{name}_macro": float(value[seen].mean()) for name, value in values.items()}
    weights = support / support.sum()
    return macro | {f"{name}_weighted": float(value @ weights) for name, value in values.items()}


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


# Per class --------------------------------------------------------------------------------------------------


def class_metrics(
    matrix: Array, aucs: list[float | None], class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1, support, ROC AUC and false positive rate of each class, by its name."""
    support, predicted, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    others = matrix.sum() - support
    return {
        name: {
            "precision": _share(right[k], predicted[k], 0.0 if support[k] else None),
            "recall": _share(right[k], support[k]),
            "f1": _share(2 * right[k], support[k] + predicted[k]),
            "support": int(support[k]),
            "roc_auc": aucs[k],
            "false_positive_rate": _share(predicted[k] - right[k], others[k]),
        }
        for k, name in enumerate(class_names)
    }


def _share(part: float, whole: float, otherwise: float | None = None) -> float | None:
    return float(part / whole) if whole else otherwise


def roc_aucs(labels: Array, probabilities: Array) -> list[float | None]:
    """Area under the ROC curve of each class against the rest; None where a class has no or every image."""
    from sklearn.metrics import roc_auc_score

    def area(k: int) -> float | None:
        truth = labels == k
        return float(roc_auc_score(truth, probabilities[:, k])) if 0 < truth.sum() < len(truth) else None

    return [area(k) for k in range(probabilities.shape[1])]


# Intervals --------------------------------------------------------------------------------------------------


def bootstrap_intervals(
    matrix: Array, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[list[float], list[float]]:
    """95 % percentile intervals of accuracy and of macro F1, as [low, high] each.

    Resampling N images with replacement changes only how often each cell of the confusion matrix is hit, so
    the cells are drawn from a multinomial distribution: the same bootstrap without touching the images.
    Where every image is right, or every one wrong, there is nothing to resample: the exact binomial
    (Clopper-Pearson) interval of the accuracy then stands in for both.
    """
    right, total = int(np.trace(matrix)), int(matrix.sum())
    if right in (0, total):
        exact = exact_interval(right, total)
        return exact, exact
    rows, columns = np.nonzero(matrix)
    shares = matrix[rows, columns] / total
    random = np.random.default_rng(seed)
    chunks = [
        _resampled(
            random.multinomial(total, shares, min(_CHUNK, resamples - start)), rows, columns, len(matrix)
        )
        for start in range(0, resamples, _CHUNK)
    ]
    accuracy, f1 = (np.concatenate(values) for values in zip(*chunks, strict=True))
    return _percentiles(accuracy), _percentiles(f1)


def _resampled(draws: Array, rows: Array, columns: Array, classes: int) -> tuple[Array, Array]:
    """Accuracy (R,) and macro F1 (R,) of R resampled matrices, given as counts (R, C) of their C cells."""
    right = _sums(np.where(rows == columns, draws, 0), rows, classes)
    hits = _sums(draws, rows, classes) + _sums(draws, columns, classes)
    f1 = _ratio(2 * right, hits).sum(axis=1) / (hits > 0).sum(axis=1)
    return right.sum(axis=1) / draws[0].sum(), f1


def _sums(draws: Array, classes_of_cells: Array, classes: int) -> Array:
    """(R, K): the counts of the cells that belong to each class, added up."""
    order = np.argsort(classes_of_cells, kind="stable")
    present, starts = np.unique(classes_of_cells[order], return_index=True)
    sums = np.zeros((len(draws), classes))
    sums[:, present] = np.add.reduceat(draws[:, order], starts, axis=1)
    return sums


def _percentiles(values: Array) -> list[float]:
    return [float(bound) for bound in np.percentile(values, [2.5, 97.5])]


def exact_interval(successes: int, trials: int) -> list[float]:
    """95 % Clopper-Pearson interval of a proportion: it covers at least that often, whatever the truth."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    return [float(interval.low), float(interval.high)]


def wilson_interval(successes: Array | float, trials: Array | float) -> tuple[Array, Array]:
    """95 % Wilson score interval of one or many proportions (NaN where there are no trials).

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    successes, trials = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    z2 = 1.959963984540054**2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / trials
        centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
        half = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    # At the ends rounding may leave the proportion itself just outside.
    return np.clip(np.minimum(centre - half, share), 0, 1), np.clip(np.maximum(centre + half, share), 0, 1)


# Calibration ------------------------------------------------------------------------------------------------


def reliability(labels: Array, probabilities: Array, bins: int = CALIBRATION_BINS) -> dict[str, Array]:
    """Equal-width bins of the highest probability: `count`, mean `confidence` and `accuracy` of each (bins,).

    Empty bins have the confidence and accuracy 0 and the count 0.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    return {
        "count": count,
        "confidence": _ratio(np.bincount(bin_of, confidence, bins), count),
        "accuracy": _ratio(np.bincount(bin_of, correct, bins), count),
    }


def expected_calibration_error(labels: Array, probabilities: Array, bins: int = CALIBRATION_BINS) -> float:
    """Mean gap between confidence and accuracy over the bins of `reliability`, weighted by their counts.

    C. Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.
    """
    table = reliability(labels, probabilities, bins)
    return float(np.abs(table["accuracy"] - table["confidence"]) @ table["count"] / len(labels))


def fit_temperature(labels: Array, probabilities: Array) -> float:
    """The temperature whose softmax(log(probabilities) / temperature) has the lowest cross-entropy.

    Fit it on the validation split, never on the test split. Guo et al. 2017, section 4.2. The search runs
    over 0.05 to 20; a model that is right on every validation image ends at the lower bound.
    """
    from scipy.optimize import minimize_scalar

    logs = np.log(np.clip(np.asarray(probabilities, dtype=np.float64), 1e-30, None))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        peak = scaled.max(axis=1)
        return float(
            (np.log(np.exp(scaled - peak[:, None]).sum(axis=1)) + peak - scaled[rows, labels]).mean()
        )

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(best.x))  # pyright: ignore[reportAttributeAccessIssue]


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
