"""Findings about a trained model: rules over `metrics.json` and the saved predictions.

Where a rule looks at every class it says only what still holds after correcting for so many looks: intervals are
widened to 1 - 0.05 / classes (Bonferroni), p-values are adjusted by Holm's method.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.findings.base import Evidence, Finding, called, interval, listed, percent, points
from tenfold.runs import metrics

SHOWN_PAIRS = 3
# Test images from which on something is said of a class: with 4 of 4 right, the 95 % interval begins at 51 %.
ENOUGH = 5


def accuracy(evidence: Evidence) -> Iterator[Finding]:
    """The test accuracy, its interval, and what guessing would reach."""
    if not evidence.test:
        return
    test = evidence.test
    support = [values["support"] for values in test["per_class"].values()]
    guess = max(support) / test["n"]
    low, high = test["accuracy_ci95"]
    beyond = "" if low > guess else ", which does not show that the model is better than that"
    groups = f" of {test['groups']:,} groups" if "groups" in test else ""
    images = f"{test['n']:,} test images{groups} are classified correctly"
    if evidence.folds:
        images = f"{test['n']:,} images{groups} are classified correctly by models that had not seen them"
    yield Finding(
        f"{percent(test['accuracy'])} of {images} ({interval(low, high)}"
        f"{', by resampling whole groups' if groups else ''}); "
        f"always answering the largest class would reach {percent(guess)}{beyond}.",
        "accuracy",
        "verdict",
        {"accuracy": test["accuracy"], "ci95": [low, high], "n": test["n"], "guess": guess}
        | ({"groups": test["groups"]} if groups else {}),
    )


def cross_validation(evidence: Evidence) -> Iterator[Finding]:
    """That the run is cross-validated, how far its folds are apart, and what that says of the final model."""
    if not evidence.folds:
        return
    accuracies = [fold["accuracy"] for fold in evidence.folds]
    seen, judges = (sum(evidence.counts.get(split, {}).values()) for split in ("train", "validation"))
    yield Finding(
        f"This is a cross-validation: each image was tested once, by one of {len(accuracies)} models that learned "
        f"from the others; single folds reach {percent(min(accuracies))} to {percent(max(accuracies))}. The final "
        f"model learned from {seen:,} images, {judges:,} others chose its epoch, and it was not tested itself.",
        "cross_validation",
        "verdict",
        {"folds": len(accuracies), "accuracies": accuracies, "train": seen, "validation": judges},
    )


def copies(evidence: Evidence) -> Iterator[Finding]:
    """How many test images were also trained or tuned on, and the accuracy on the others."""
    said = "are also training or validation images, pixel by pixel"
    yield from _flattering(evidence, "copies", evidence.copies, said)


def shared_groups(evidence: Evidence) -> Iterator[Finding]:
    """How many test images are of groups that were also trained or tuned on, and the accuracy on the others."""
    said = "are of groups that training or validation has images of as well"
    yield from _flattering(evidence, "shared_groups", evidence.shared, said)


def _flattering(evidence: Evidence, rule: str, known: tuple[int, ...], said: str) -> Iterator[Finding]:
    """That the accuracy flatters the model because of the `known` test images, and what it is without them."""
    answers = evidence.predictions
    if answers is None or not known:
        return
    clean = np.ones(len(answers), bool)
    clean[list(known)] = False
    right, n = int((answers.predicted == answers.labels)[clean].sum()), int(clean.sum())
    numbers: dict[str, Any] = {rule: len(known), "clean": n}
    sentence = (
        f"{len(known):,} of {len(answers):,} test images {said}, so the accuracy above flatters the model"
    )
    if n:
        low, high = (float(bound) for bound in metrics.wilson_interval(right, n))
        numbers |= {"accuracy": right / n, "ci95": [low, high]}
        sentence += f"; on the other {n:,} it is {percent(right / n)} ({interval(low, high)})"
    else:
        sentence += ", and says nothing about other images"
    yield Finding(f"{sentence}.", rule, "verdict", numbers, known[:6])


def missing_classes(evidence: Evidence) -> Iterator[Finding]:
    """Which classes have no image to validate or test on."""
    for split in ("test", "validation"):
        counts = evidence.counts.get(split, {})
        missing = [name for name, count in counts.items() if not count]
        if missing and any(counts.values()):
            yield Finding(
                f"The {split} images lack {listed([called(name) for name in missing])}: nothing is known of "
                f"{'it' if len(missing) == 1 else 'them'} there.",
                "missing_classes",
                "verdict",
                {"split": split, "classes": missing},
            )


def validation_and_test(evidence: Evidence) -> Iterator[Finding]:
    """Whether test accuracy differs from validation accuracy by more than chance explains."""
    if not evidence.test or not evidence.validation or evidence.folds:
        return  # of a cross-validation, different models answered the two
    test, held_out = evidence.test, evidence.validation
    difference = test["accuracy"] - held_out["accuracy"]
    margin = metrics.normal_quantile(0.95) * np.sqrt(_variance(test) + _variance(held_out))
    side = "below" if difference < 0 else "above"
    distance = f"lies {points(difference)} {side}" if abs(difference) >= 0.0005 else "equals"
    judgement = "within the noise" if abs(difference) <= margin else "more than chance explains"
    yield Finding(
        f"Test accuracy {distance} validation accuracy ({percent(held_out['accuracy'])}), "
        f"{judgement} (95% margin {points(margin)}).",
        "validation_and_test",
        "verdict",
        {"difference": difference, "margin": float(margin)},
    )


def _variance(measured: Mapping[str, Any]) -> float:
    # One image more on either side keeps a perfect score from claiming certainty (Agresti and Coull 1998).
    right, n = measured["accuracy"] * measured["n"] + 1, measured["n"] + 2
    return right / n * (1 - right / n) / n


def classes_apart(evidence: Evidence) -> Iterator[Finding]:
    """Which classes' recall lies below or above the accuracy over all images, with intervals that exclude it.

    Of a class that fewer than `ENOUGH` images judge, nothing is said.
    """
    names, matrix = _matrix(evidence)
    right, support = np.diag(matrix), matrix.sum(axis=1)
    judged = support >= ENOUGH
    if judged.sum() < 3:
        return
    low, high = metrics.wilson_interval(right, support, 1 - 0.05 / len(names))
    average = evidence.test["accuracy"]
    apart, told = 0, int(judged.sum())
    for word, chosen, sign in (("below", high < average, 1), ("above", low > average, -1)):
        found = sorted(np.flatnonzero(chosen & judged).tolist(), key=lambda k: sign * right[k] / support[k])
        apart += len(found)
        if found:
            parts = [f"{called(names[k])} ({percent(right[k] / support[k])})" for k in found]
            yield Finding(
                f"Clearly {word} the average of {percent(average)}: {listed(parts)}.",
                "classes_apart",
                "classes",
                {"average": average, "recall": {names[k]: float(right[k] / support[k]) for k in found}},
            )
    if apart < told:
        yield Finding(
            f"{_others(apart, told, len(names))} within the noise of the average (95% intervals corrected for "
            f"{len(names)} classes).",
            "classes_apart",
            "classes",
            {"within": told - apart},
        )


def _others(apart: int, told: int, classes: int) -> str:
    """Which classes are meant: all, all but those named, or only those with enough images."""
    if told < classes:
        return f"The {'other ' if apart else ''}{told - apart} classes with enough test images are"
    return f"The other {told - apart} classes are" if apart else "All classes are"


def few_judges(evidence: Evidence) -> Iterator[Finding]:
    """Of which classes nothing is said, because too few test images judge them."""
    names, matrix = _matrix(evidence)
    support = matrix.sum(axis=1)
    few = np.flatnonzero((support > 0) & (support < ENOUGH)).tolist()
    if not few:
        return
    parts = [f"{called(names[k])} ({support[k]})" for k in few]
    remedy = "" if evidence.folds else ", or `--folds`, which tests every image, would tell more"
    yield Finding(
        f"Nothing is said of classes that fewer than {ENOUGH} test images judge: {listed(parts)}. More images"
        f"{remedy or ' would tell more'}.",
        "few_judges",
        "verdict",
        {"images": {names[k]: int(support[k]) for k in few}},
    )


def confused_pairs(evidence: Evidence) -> Iterator[Finding]:
    """Pairs of classes that are taken for each other more often than mistakes spread evenly would be."""
    names, matrix = _matrix(evidence)
    if len(names) < 3:
        return
    support = matrix.sum(axis=1)
    unusual = _unusual_cells(matrix)
    both = np.triu(matrix + matrix.T, 1)
    order = np.argsort(-both, axis=None)
    pairs = [(int(a), int(b)) for a, b in zip(*np.unravel_index(order, both.shape), strict=True) if a < b]
    pairs = [(a, b) for a, b in pairs if unusual[a, b] or unusual[b, a]]
    pairs = [(a, b) for a, b in pairs if min(support[a], support[b]) >= ENOUGH]
    for a, b in pairs[:SHOWN_PAIRS]:
        a, b = (a, b) if matrix[a, b] / support[a] >= matrix[b, a] / max(support[b], 1) else (b, a)
        yield Finding(
            f"{called(names[a])} and {called(names[b])} are confused: {matrix[a, b]} of {support[a]:,} "
            f"{called(names[a])} images are taken for {called(names[b])}, {matrix[b, a]} of {support[b]:,} the "
            f"other way ({_direction(matrix[a, b], support[a], matrix[b, a], support[b])}).",
            "confused_pairs",
            "confusion",
            {"pair": [names[a], names[b]], "there": int(matrix[a, b]), "back": int(matrix[b, a])},
            _mistaken(evidence, a, b) + _mistaken(evidence, b, a),
        )
    if not pairs and np.trace(matrix) < matrix.sum():
        yield Finding(
            "No pair of classes is confused more often than mistakes spread evenly would be.",
            "confused_pairs",
            "confusion",
            {"mistakes": int(matrix.sum() - np.trace(matrix))},
        )


def _unusual_cells(matrix: NDArray) -> NDArray:
    """(K, K) bool: the cells with more mistakes than their row's mistakes spread evenly, by Holm's correction."""
    from scipy.stats import binom

    classes = len(matrix)
    mistakes = matrix.sum(axis=1) - np.diag(matrix)
    p_values = binom.sf(matrix - 1, mistakes[:, None], 1 / (classes - 1))
    np.fill_diagonal(p_values, 1)
    return metrics.holm(p_values.ravel()).reshape(classes, classes) < 0.05


def _direction(there: int, of: int, back: int, of_back: int) -> str:
    from scipy.stats import fisher_exact

    if of_back == 0:
        return "that way has no images"
    p_value = fisher_exact([[there, of - there], [back, of_back - back]]).pvalue  # pyright: ignore
    return "mostly in the first direction" if p_value < 0.05 else "no clear direction"


def _mistaken(evidence: Evidence, true: int, predicted: int, limit: int = 6) -> tuple[int, ...]:
    """The most confident test images of class `true` that were taken for `predicted`."""
    answers = evidence.predictions
    if answers is None:
        return ()
    found = np.flatnonzero((answers.labels == true) & (answers.predicted == predicted))
    ranked = found[np.argsort(-answers.probabilities[found, predicted], kind="stable")]
    return tuple(int(position) for position in ranked[:limit])


def false_positives(evidence: Evidence) -> Iterator[Finding]:
    """Classes that images of the others are taken for clearly more often than for the average class."""
    names, matrix = _matrix(evidence)
    if len(names) < 3:
        return
    others = matrix.sum() - matrix.sum(axis=1)
    false = matrix.sum(axis=0) - np.diag(matrix)
    low, _ = metrics.wilson_interval(false, others, 1 - 0.05 / len(names))
    average = false.sum() / others.sum()
    rates = false / np.maximum(others, 1)
    found = sorted(np.flatnonzero(low > average).tolist(), key=lambda k: -rates[k])
    if found:
        parts = [f"{called(names[k])} ({percent(rates[k])})" for k in found]
        yield Finding(
            f"False positive rates clearly above the average of {percent(average)}: {listed(parts)}.",
            "false_positives",
            "classes",
            {"average": float(average), "rates": {names[k]: float(rates[k]) for k in found}},
        )


def areas_under_roc(evidence: Evidence) -> Iterator[Finding]:
    """The best and worst AUC, and whether they differ from the average by more than noise.

    Standard errors after J. A. Hanley and B. J. McNeil, Radiology 143 (1982).
    """
    per_class = evidence.test.get("per_class", {}) if evidence.test else {}
    known = {
        name: values
        for name, values in per_class.items()
        if values["roc_auc"] is not None and values["support"] >= ENOUGH
    }
    if len(known) < 3:
        return
    names = list(known)
    area = np.array([known[name]["roc_auc"] for name in names])
    positive = np.array([known[name]["support"] for name in names])
    margin = metrics.normal_quantile(1 - 0.05 / len(names)) * _auc_error(
        area, positive, evidence.test["n"] - positive
    )
    mean = area.mean()
    worst = [names[k] for k in np.argsort(area) if area[k] + margin[k] < mean]
    best = [names[k] for k in np.argsort(-area) if area[k] - margin[k] > mean]
    numbers = {"mean": float(mean), "worst": worst, "best": best}
    if not worst and not best:
        yield Finding(
            f"The AUC of every class{_with_enough(len(known), len(per_class))} is within the noise of their mean of "
            f"{mean:.3f}.",
            "areas_under_roc",
            "roc",
            numbers,
        )
        return
    shown = {name: f"{called(name)} ({known[name]['roc_auc']:.3f})" for name in (*worst, *best)}
    groups = [("lowest", worst), ("highest", best)]
    parts = [f"{word} {listed([shown[name] for name in group])}" for word, group in groups if group]
    yield Finding(
        f"AUC apart from the mean of {mean:.3f} by more than noise: {'; '.join(parts)}.",
        "areas_under_roc",
        "roc",
        numbers,
    )


def _with_enough(known: int, classes: int) -> str:
    return " with enough test images" if known < classes else ""


def _auc_error(area: NDArray, positive: NDArray, negative: NDArray) -> NDArray:
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positive - 1) * (one - area**2) + (negative - 1) * (two - area**2)
    # At an area of 1 the formula gives 0; half a pair in the wrong order stands for what was not seen.
    return np.sqrt(np.maximum(spread, 0.5 / np.maximum(positive, 1)) / (positive * negative))


def _matrix(evidence: Evidence) -> tuple[Sequence[str], NDArray]:
    """Names and confusion matrix of the classes that have test images, or nothing without test metrics."""
    if not evidence.test:
        return (), np.zeros((0, 0), int)
    return tuple(evidence.test["per_class"]), np.array(evidence.test["confusion_matrix"])


RULES = (
    accuracy,
    cross_validation,
    copies,
    shared_groups,
    missing_classes,
    few_judges,
    validation_and_test,
    classes_apart,
    confused_pairs,
    false_positives,
    areas_under_roc,
)
