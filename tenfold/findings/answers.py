"""Findings about a trained model: rules over `metrics.json` and the saved predictions.

A rule that looks at every class or pair says only what still holds after Holm's correction for so many looks. How
often each rule is wrong where there is nothing to find: docs/statistics.md.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.numbers import percent, points
from tenfold.findings.base import Evidence, Finding, called, interval, listed
from tenfold.runs import metrics, significance
from tenfold.runs.significance import LEVEL, holm, more_than_p, two_shares_p

if TYPE_CHECKING:
    from tenfold.runs.predictions import Predictions

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


def near_copies(evidence: Evidence) -> Iterator[Finding]:
    """How many test images are near copies of what was trained or tuned on, and the accuracy on the others."""
    said = "are near copies of training or validation images (mirrored, turned, brightened and the like, or so named)"
    yield from _flattering(evidence, "near_copies", evidence.near, said)


def shared_groups(evidence: Evidence) -> Iterator[Finding]:
    """How many test images are of groups that were also trained or tuned on, and the accuracy on the others."""
    said = "are of groups that training or validation has images of as well"
    yield from _flattering(evidence, "shared_groups", evidence.shared, said)


def _flattering(evidence: Evidence, rule: str, known: tuple[int, ...], said: str) -> Iterator[Finding]:
    """That the accuracy flatters the model because of the `known` test images, and what it is without any such."""
    answers = evidence.predictions
    if answers is None or not known:
        return
    clean = np.ones(len(answers), bool)
    clean[[*evidence.copies, *evidence.near, *evidence.shared]] = False
    right, n = int((answers.predicted == answers.labels)[clean].sum()), int(clean.sum())
    numbers: dict[str, Any] = {rule: len(known), "clean": n}
    sentence = (
        f"{len(known):,} of {len(answers):,} test images {said}, so the accuracy above flatters the model"
    )
    if n:
        groups = answers.groups[clean] if len(answers.groups) else None
        low, high = metrics.accuracy_interval((answers.predicted == answers.labels)[clean], groups)
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
    images = (test["n"] / evidence.images_a_group, held_out["n"] / evidence.images_a_group)
    right = (test["accuracy"] * images[0], held_out["accuracy"] * images[1])
    p_value = two_shares_p(right, images)
    side = "below" if difference < 0 else "above"
    distance = f"lies {points(difference)} {side}" if abs(difference) >= 0.0005 else "equals"
    judgement = "which may be chance" if p_value >= LEVEL else "more than chance explains"
    yield Finding(
        f"Test accuracy {distance} validation accuracy ({percent(held_out['accuracy'])})"
        + (f", {judgement}." if difference else "."),
        "validation_and_test",
        "verdict",
        {"difference": difference, "p_value": p_value, "test": "Fisher's exact"},
    )


def classes_apart(evidence: Evidence) -> Iterator[Finding]:
    """Which classes' recall differs from that of all the other classes together.

    Of a class that fewer than `ENOUGH` images judge, nothing is said.
    """
    names, matrix = _matrix(evidence)
    support = matrix.sum(axis=1)
    tested = np.flatnonzero(support >= ENOUGH)
    if len(tested) < 3:
        return
    recall = np.diag(matrix)[tested] / support[tested]
    p_values = class_p_values(matrix, evidence.images_a_group)
    average = evidence.test["accuracy"]
    differ = p_values < LEVEL
    for word, chosen, sign in (("below", recall < average, 1), ("above", recall > average, -1)):
        found = sorted(np.flatnonzero(differ & chosen).tolist(), key=lambda k: sign * recall[k])
        if found:
            parts = [f"{called(names[int(tested[k])])} ({percent(recall[k])})" for k in found]
            yield Finding(
                f"Clearly {word} the average of {percent(average)}: {listed(parts)}.",
                "classes_apart",
                "classes",
                {
                    "average": average,
                    "recall": {names[tested[k]]: float(recall[k]) for k in found},
                    "p_values": {names[tested[k]]: float(p_values[k]) for k in found},
                    "test": f"Fisher's exact, against the other classes; Holm's correction for {len(tested)}",
                },
            )
    within = len(tested) - int(differ.sum())
    if within:
        rest = "No class" if within == len(tested) else f"None of the other {within} classes"
        yield Finding(
            f"{rest}{_with_enough(len(tested), len(names))} is clearly better or worse than the others (5% level, "
            f"corrected for {len(tested)} classes).",
            "classes_apart",
            "classes",
            {"within": within},
        )


def _with_enough(known: int, classes: int) -> str:
    return " with enough test images" if known < classes else ""


def class_p_values(matrix: NDArray, images_a_group: float = 1.0) -> NDArray:
    """The p-value of "as often right as the others", corrected for all, of each class that ENOUGH images judge."""
    right, support = np.diag(matrix), matrix.sum(axis=1)
    judged = support >= ENOUGH
    groups = np.maximum(_groups(support[judged], images_a_group), 1)
    return holm(significance.same_share_p(np.minimum(_groups(right[judged], images_a_group), groups), groups))


def _groups(images: NDArray, images_a_group: float) -> NDArray:
    """Counts of images as counts of groups."""
    return np.rint(images / images_a_group).astype(int)


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
    pairs = [
        (a, b)
        for a, b in _unusual_pairs(matrix, evidence.images_a_group)
        if min(support[a], support[b]) >= ENOUGH
    ]
    for a, b in pairs[:SHOWN_PAIRS]:
        a, b = (a, b) if matrix[a, b] / max(support[a], 1) >= matrix[b, a] / max(support[b], 1) else (b, a)
        ways, sizes = (
            counts / evidence.images_a_group for counts in (matrix[[a, b], [b, a]], support[[a, b]])
        )
        direction = _direction(ways, sizes, min(len(pairs), SHOWN_PAIRS))
        yield Finding(
            f"{called(names[a])} and {called(names[b])} are confused: {matrix[a, b]} of {support[a]:,} "
            f"{called(names[a])} images are taken for {called(names[b])}, {matrix[b, a]} of {support[b]:,} the "
            f"other way ({direction}).",
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


def _unusual_pairs(matrix: NDArray, images_a_group: float = 1.0) -> list[tuple[int, int]]:
    """The pairs (a, b), a < b, with more mistakes than both rows' mistakes spread evenly, the most first."""
    mistakes = matrix.sum(axis=1) - np.diag(matrix)
    rows, columns = np.nonzero(matrix)
    ends = np.sort(np.stack([rows, columns], axis=1)[rows != columns], axis=1)
    a, b = np.unique(ends, axis=0).T
    both = matrix[a, b] + matrix[b, a]
    # Pairs without a mistake were looked at, too, and have a p-value of 1.
    looks = len(matrix) * (len(matrix) - 1) // 2
    count, trials = (_groups(each, images_a_group) for each in (both, mistakes[a] + mistakes[b]))
    p_values = holm(more_than_p(count, trials, 1 / (len(matrix) - 1)), looks)
    found = np.flatnonzero(p_values < LEVEL)
    return [(int(a[k]), int(b[k])) for k in found[np.argsort(-both[found], kind="stable")]]


def _direction(mistakes: NDArray, support: NDArray, shown: int) -> str:
    """Whether the first of the two ways has the larger share, of `shown` pairs that are looked at."""
    if support[1] == 0:
        return "that way has no images"
    p_value = two_shares_p(tuple(mistakes), tuple(support))
    return "mostly in the first direction" if p_value * shown < LEVEL else "no clear direction"


def _mistaken(evidence: Evidence, true: int, predicted: int, limit: int = 6) -> tuple[int, ...]:
    """The most confident test images of class `true` that were taken for `predicted`."""
    answers = evidence.predictions
    if answers is None:
        return ()
    found = np.flatnonzero((answers.labels == true) & (answers.predicted == predicted))
    ranked = found[np.argsort(-answers.probabilities[found, predicted], kind="stable")]
    return tuple(int(position) for position in ranked[:limit])


def false_positives(evidence: Evidence) -> Iterator[Finding]:
    """Classes that images of the others are taken for more often than mistakes spread evenly would be."""
    names, matrix = _matrix(evidence)
    if len(names) < 3:
        return
    others, mistakes = matrix.sum() - matrix.sum(axis=1), matrix.sum(axis=1) - np.diag(matrix)
    false = matrix.sum(axis=0) - np.diag(matrix)
    count, trials = (_groups(each, evidence.images_a_group) for each in (false, mistakes.sum() - mistakes))
    p_values = holm(more_than_p(count, trials, 1 / (len(names) - 1)))
    average = false.sum() / others.sum()
    rates = false / np.maximum(others, 1)
    found = sorted(np.flatnonzero(p_values < LEVEL).tolist(), key=lambda k: -rates[k])
    if found:
        parts = [f"{called(names[k])} ({percent(rates[k])})" for k in found]
        yield Finding(
            f"False positive rates clearly above the average of {percent(average)}: {listed(parts)}.",
            "false_positives",
            "classes",
            {"average": float(average), "rates": {names[k]: float(rates[k]) for k in found}},
        )


def areas_under_roc(evidence: Evidence) -> Iterator[Finding]:
    """The best and worst AUC, and whether they differ from the average by more than chance.

    An AUC is the mean, over the images of its class, of the share of other images that rank below. Classes that are
    equally easy share the distribution of that; the other images vary too, about as much for each of them.
    """
    answers = evidence.predictions
    if not evidence.test or answers is None:
        return
    present = [k for k, count in enumerate(np.bincount(answers.labels)) if ENOUGH <= count < len(answers)]
    if len(present) < 3:
        return
    below, groups = _ranked_below(answers, present)
    size = np.bincount(groups)
    area = np.bincount(groups, below) / size
    widening = np.sqrt(evidence.images_a_group * (1 + size / (len(answers) - size)))
    apart = significance.group_means_p(below, groups, widening) < LEVEL
    names = [answers.class_names[k] for k in present]
    mean = area.mean()
    worst = [names[k] for k in np.argsort(area) if apart[k] and area[k] < mean]
    best = [names[k] for k in np.argsort(-area) if apart[k] and area[k] > mean]
    numbers = {"mean": float(mean), "worst": worst, "best": best}
    if not worst and not best:
        yield Finding(
            f"The AUC of no class{_with_enough(len(present), len(answers.class_names))} differs from their mean of "
            f"{mean:.4f} by more than chance explains.",
            "areas_under_roc",
            "roc",
            numbers,
        )
        return
    shown = {name: f"{called(name)} ({value:.4f})" for name, value in zip(names, area, strict=True)}
    groups = [("lowest", worst), ("highest", best)]
    parts = [f"{word} {listed([shown[name] for name in group])}" for word, group in groups if group]
    yield Finding(
        f"AUC apart from the mean of {mean:.4f} by more than chance: {'; '.join(parts)}.",
        "areas_under_roc",
        "roc",
        numbers,
    )


def _ranked_below(answers: "Predictions", classes: Sequence[int]) -> tuple[NDArray, NDArray]:
    """(N,) for the images of these classes, class after class: the share of other images below; and whose it is."""
    shares = []
    for k in classes:
        own, scores = answers.labels == k, answers.probabilities[:, k]
        others = np.sort(scores[~own])
        # One that scores the same is half below.
        below = sum(np.searchsorted(others, scores[own], side) for side in ("left", "right")) / 2
        shares.append(below / len(others))
    return np.concatenate(shares), np.repeat(np.arange(len(classes)), [len(each) for each in shares])


def _matrix(evidence: Evidence) -> tuple[Sequence[str], NDArray]:
    """Names and confusion matrix of the classes that have test images, or nothing without test metrics."""
    if not evidence.test:
        return (), np.zeros((0, 0), int)
    return tuple(evidence.test["per_class"]), metrics.matrix_of(evidence.test)


RULES = (
    accuracy,
    cross_validation,
    copies,
    near_copies,
    shared_groups,
    missing_classes,
    few_judges,
    validation_and_test,
    classes_apart,
    confused_pairs,
    false_positives,
    areas_under_roc,
)
