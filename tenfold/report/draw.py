"""The figures of a run, drawn from its saved numbers into `figures/` as SVG and PNG."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from tenfold.core.files import atomic, explained_write
from tenfold.findings import Evidence, learning_rate_drops, overfits_from
from tenfold.findings.answers import ENOUGH, class_p_values
from tenfold.report import figures
from tenfold.report.kit.style import settle, to_png, to_svg
from tenfold.runs import metrics
from tenfold.runs.curves import average_precision, precision_recall_curve, roc_curve
from tenfold.runs.significance import LEVEL

if TYPE_CHECKING:
    from tenfold.data import Splits
    from tenfold.runs.folder import Run
    from tenfold.runs.predictions import Predictions

# A curve on a page needs no more points than it has pixels.
CURVE_POINTS = 200
# A point of the reliability figure stands for at least so many images.
BIN_IMAGES = 10
SAMPLE_ROWS, SAMPLE_COLUMNS, SAMPLE_PIXELS = 4, 10, 80


def draw_figures(run: "Run", evidence: Evidence, splits: "Splits | None" = None) -> None:
    """Draw every figure that the run has numbers for; the samples need `splits` for their pixels."""
    drawn = {"learning_curves": _learning_curves(evidence), "class_counts": _class_counts(evidence)}
    if evidence.test:
        drawn |= _test_figures(evidence)
    if evidence.robustness:
        drawn["robustness"] = figures.robustness(
            evidence.robustness["accuracy"], evidence.robustness["clean"]
        )
    if splits is not None:
        drawn["samples"] = _samples(splits)
    with explained_write(run.figures):
        run.figures.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        _save(run, name, figure)


def _save(run: "Run", name: str, figure: Figure) -> None:
    settle(figure)
    with atomic(run.figures / f"{name}.svg") as path:
        path.write_text(to_svg(figure), encoding="utf-8")
    with atomic(run.figures / f"{name}.png") as path:
        path.write_bytes(to_png(figure))


def _learning_curves(evidence: Evidence) -> Figure:
    history = evidence.history
    held_out = sum(evidence.counts.get("validation", {}).values())
    return figures.learning_curves(
        history,
        evidence.training.get("best_epoch"),
        learning_rate_drops(history),
        None if evidence.left_out or "strength" in evidence.training else overfits_from(history),
        "training, hardest images" if evidence.left_out else "training",
        f"validation, {evidence.judges:,} images" if evidence.judges < held_out else "validation",
        "strength" if "strength" in evidence.training else "epoch",
    )


def _class_counts(evidence: Evidence) -> Figure:
    counts = {split: list(classes.values()) for split, classes in evidence.counts.items()}
    return figures.class_counts(counts, evidence.class_names)


def _test_figures(evidence: Evidence) -> dict[str, Figure]:
    test, names, predictions = evidence.test, evidence.class_names, evidence.predictions
    matrix = metrics.matrix_of(test)
    right, support = np.diag(matrix), matrix.sum(axis=1)
    known = [test["per_class"][name].get("recall_ci95") or [0.0, 1.0] for name in names]
    ends = tuple(np.array(known).T)
    apart = np.zeros(len(names), bool)
    apart[support >= ENOUGH] = class_p_values(matrix, evidence.images_a_group) < LEVEL
    with np.errstate(invalid="ignore"):
        recall = right / support
    drawn = {
        "confusion_matrix": figures.confusion_matrix(matrix, names),
        "class_scores": figures.class_scores(recall, ends, apart, names, test["accuracy"]),
    }
    if predictions is None:
        return drawn
    labels, probabilities = predictions.labels, predictions.probabilities
    coverage = thinned(*metrics.accuracy_by_coverage(labels, probabilities))
    return (
        drawn
        | _curves(labels, probabilities, test, names)
        | {
            "coverage": figures.coverage(coverage, test["accuracy"]),
            "reliability": _reliability(predictions, evidence),
        }
    )


def _curves(
    labels: Any, probabilities: Any, test: Mapping[str, Any], names: Sequence[str]
) -> dict[str, Figure]:
    """ROC and precision-recall curves of every class, or of the ten with the lowest AUC."""
    areas = {
        name: values["roc_auc"] for name, values in test["per_class"].items() if values["roc_auc"] is not None
    }
    shown = sorted(areas, key=lambda name: areas[name])[: figures.LEGIBLE]
    if not shown:
        return {}
    note = f"the {len(shown)} of {len(names)} classes with the lowest AUC" if len(shown) < len(areas) else ""
    roc, recall, precision = {}, {}, {}
    for name in shown:
        k = list(names).index(name)
        truth, scores = labels == k, probabilities[:, k]
        roc[name] = thinned(*roc_curve(truth, scores))
        recall[name] = thinned(*precision_recall_curve(truth, scores))
        precision[name] = average_precision(truth, scores)
    return {
        "roc": figures.roc(roc, areas, note),
        "precision_recall": figures.precision_recall(recall, precision, note),
    }


def thinned(x: Any, y: Any) -> figures.Curve:
    """At most CURVE_POINTS points of a curve, evenly spaced along its course."""
    if len(x) <= CURVE_POINTS:
        return x, y
    course = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(course, np.linspace(0, course[-1], CURVE_POINTS)))
    return x[kept], y[kept]


def _reliability(predictions: "Predictions", evidence: Evidence) -> Figure:
    labels, probabilities = predictions.labels, predictions.probabilities
    versions, weights = {"as trained": probabilities}, evidence.counted(labels)
    if evidence.temperature is not None:
        versions["scaled on validation"] = metrics.with_temperature(probabilities, evidence.temperature)
    return figures.reliability(
        {
            name: merged(metrics.reliability(labels, values, weights=weights))
            for name, values in versions.items()
        },
        {
            name: metrics.expected_calibration_error(labels, values, weights=weights)
            for name, values in versions.items()
        },
    )


def merged(table: Mapping[str, Any]) -> dict[str, Any]:
    """The bins of a reliability table with the exact 95 % interval of each, those of few images joined to the next.

    What the last bins still lack is joined to the bin before. Arrays of one entry a bin.
    """
    bins: list[list[float]] = []  # count, sum of confidence, right
    open_bin = np.zeros(3)
    for count, confidence, accuracy in zip(
        table["count"], table["confidence"], table["accuracy"], strict=True
    ):
        open_bin = open_bin + count * np.array([1, confidence, accuracy])
        if open_bin[0] >= BIN_IMAGES:
            bins.append(open_bin.tolist())
            open_bin = np.zeros(3)
    if open_bin[0]:
        last = np.array(bins.pop()) if bins else np.zeros(3)
        bins.append((last + open_bin).tolist())
    count, confidence, right = np.array(bins).T
    low, high = metrics.exact_interval(right, count)
    return {
        "count": count,
        "confidence": confidence / count,
        "accuracy": right / count,
        "low": low,
        "high": high,
    }


def _samples(splits: "Splits") -> Figure:
    """Some training images of each class, the first of every class before the second of any."""
    labels = np.asarray(splits.train.labels)
    names = splits.class_names
    of_class = [np.flatnonzero(labels == k) for k in range(len(names))]
    rounds = [
        positions[number]
        for number in range(SAMPLE_ROWS)
        for positions in of_class
        if number < len(positions)
    ]
    chosen = np.array(rounds[: SAMPLE_ROWS * SAMPLE_COLUMNS])
    # A figure needs no more pixels than it shows; every second or third will do.
    step = max(1, max(splits.image_shape[1:]) // SAMPLE_PIXELS)
    images = list(splits.train.images(chosen)[:, ::step, ::step])
    columns = len(names) if 2 <= len(names) <= SAMPLE_COLUMNS else SAMPLE_COLUMNS
    return figures.sample_grid(images, [names[labels[position]] for position in chosen], columns)
