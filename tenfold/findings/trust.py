"""Findings about how far single answers can be trusted: balance, calibration, abstaining, labels, corruptions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.core.numbers import percent, points
from tenfold.core.text import plural
from tenfold.findings.base import Evidence, Finding, called, interval
from tenfold.runs import metrics
from tenfold.runs.significance import LEVEL, two_shares_p

if TYPE_CHECKING:
    from tenfold.runs.predictions import Predictions

CONFIDENT = 0.9
ABSTAINED = 0.2


def balance(evidence: Evidence) -> Iterator[Finding]:
    """Whether the training classes are equally large, and so whether macro averages and accuracy agree."""
    counts = evidence.counts.get("train", {})
    if not counts:
        return
    smallest, largest = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    low, high = counts[smallest], counts[largest]
    numbers = {"smallest": low, "largest": high}
    if high <= 1.2 * low:
        size = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        sentence = (
            f"The training classes are balanced ({size} images each), so accuracy and macro averages agree."
        )
    else:
        sentence = (
            f"The training classes are not balanced: {high:,} images of {called(largest)}, {low:,} of "
            f"{called(smallest)}. Macro averages weigh each class alike; accuracy favours the large ones."
        )
        if evidence.emphasis is not None:
            sentence += f" Training made {_emphasised(evidence)}."
    yield Finding(sentence, "balance", "data", numbers)


def _emphasised(evidence: Evidence) -> str:
    """What `[fit]` made of unequal classes, in words."""
    emphasis = evidence.emphasis or ()
    counts = list(evidence.counts["train"].values())
    parts = [share * count for share, count in zip(emphasis, counts, strict=True)]
    if max(parts) < 1.01 * min(parts):
        return "every class count the same"
    return f"an image of one class count up to {max(emphasis) / min(emphasis):.3g} times as much as one of another"


def calibration(evidence: Evidence) -> Iterator[Finding]:
    """Whether confidence is on average too high or too low, and what temperature scaling makes of it.

    Confidence is called wrong where the mean lies outside the exact interval of the accuracy. Where each answer is
    right as often as it says, that happens in at most 5 % of the cases: the number of right answers then varies less
    than that of equally likely ones (W. Hoeffding, Annals of Mathematical Statistics 27, 1956).
    """
    answers = evidence.predictions
    if answers is None:
        return
    weights = evidence.counted(answers.labels)
    correct = (answers.predicted == answers.labels).astype(float)
    confidence, accuracy, ends = _stated_and_reached(
        answers.probabilities.max(axis=1), correct, weights, answers.groups
    )
    numbers = {
        "confidence": confidence,
        "accuracy": accuracy,
        "ci95": ends,
        "expected_calibration_error": metrics.expected_calibration_error(
            answers.labels, answers.probabilities, weights=weights
        ),
    }
    counted = "" if weights is None else ", with classes counted as in training"
    stated = f"the mean confidence is {percent(confidence)}, the accuracy {percent(accuracy)}{counted}"
    if ends[0] <= confidence <= ends[1]:
        sentence = f"Confidence fits the accuracy as far as {len(answers):,} images can tell: {stated}"
    else:
        sentence = f"The model is {'over' if confidence > ends[1] else 'under'}confident: {stated}"
    scaling, more = _scaling(evidence, answers, numbers["expected_calibration_error"])
    yield Finding(f"{sentence}{scaling}.", "calibration", "calibration", numbers | more)


def _stated_and_reached(
    confidence: NDArray, correct: NDArray, weights: NDArray | None, groups: NDArray
) -> tuple[float, float, list[float]]:
    """The mean confidence, the accuracy and its 95 % interval, of images that count by `weights` (N,)."""
    if weights is None:
        return float(confidence.mean()), float(correct.mean()), metrics.accuracy_interval(correct, groups)
    shares = weights / weights.sum()
    accuracy = float(correct @ shares)
    variance = float(np.square(shares * (correct - accuracy)).sum())
    effective = round(1 / float(np.square(shares).sum()))
    return float(confidence @ shares), accuracy, metrics.effective_interval(accuracy, variance, effective)


def _scaling(evidence: Evidence, answers: "Predictions", before: float) -> tuple[str, dict[str, float]]:
    """What temperature scaling makes of the calibration error, or why it cannot; and the numbers of it."""
    if evidence.temperature is not None:
        scaled = metrics.with_temperature(answers.probabilities, evidence.temperature)
        after = metrics.expected_calibration_error(
            answers.labels, scaled, weights=evidence.counted(answers.labels)
        )
        text = (
            f". The probabilities are off by {points(before)} on average, and by {points(after)} when corrected as "
            "predict, export and serve do"
        )
        return text, {"temperature": evidence.temperature, "scaled_error": after}
    held_out = evidence.validation_predictions
    if held_out is None:
        return "", {}
    mistakes = int((held_out.predicted != held_out.labels).sum())
    if mistakes >= metrics.TEMPERATURE_MISTAKES:
        low, high = metrics.TEMPERATURES
        text = f". No temperature between {low:g} and {high:g} fits the validation images best"
    elif mistakes:
        many = f"{mistakes} mistakes" if mistakes > 1 else "1 mistake"
        text = f". Validation, with {many}, has too few of them to fit a temperature on"
    else:
        text = ". Validation has no mistake to fit a temperature on"
    return text, {"validation_mistakes": mistakes}


def abstaining(evidence: Evidence) -> Iterator[Finding]:
    """How accurate the answers are when the least confident fifth is left to a person."""
    answers = evidence.predictions
    if answers is None or len(answers.labels) < 50:
        return
    order = np.argsort(-answers.probabilities.max(axis=1), kind="stable")
    kept = order[: round(len(order) * (1 - ABSTAINED))]
    correct = answers.predicted == answers.labels
    right, n = int(correct[kept].sum()), len(kept)
    overall = float(correct.mean())
    sizes = np.array([n, len(correct) - n]) / evidence.images_a_group
    p_value = two_shares_p(
        tuple(sizes * (correct[kept].mean(), correct[order[len(kept) :]].mean())), tuple(sizes)
    )
    if p_value >= LEVEL or right / n <= overall:
        return
    low, high = metrics.exact_interval(right, n)
    yield Finding(
        f"Leaving the least confident {ABSTAINED:.0%} to a person, {percent(right / n)} of the other answers "
        f"are right ({interval(float(low), float(high))}), against {percent(overall)} of all.",
        "abstaining",
        "calibration",
        {
            "abstained": ABSTAINED,
            "accuracy": right / n,
            "ci95": [float(low), float(high)],
            "p_value": p_value,
        },
    )


def confident_mistakes(evidence: Evidence) -> Iterator[Finding]:
    """How many mistakes were made with high confidence: those that a threshold will not catch."""
    answers = evidence.predictions
    if answers is None:
        return
    wrong = answers.predicted != answers.labels
    confidence = answers.probabilities.max(axis=1)
    sure = np.flatnonzero(wrong & (confidence >= CONFIDENT))
    if not len(sure):
        return
    ranked = sure[np.argsort(-confidence[sure], kind="stable")]
    was = "was" if len(sure) == 1 else "were"
    yield Finding(
        f"{len(sure):,} of {plural(int(wrong.sum()), 'mistake')} {was} made with a confidence of "
        f"{CONFIDENT:.0%} or more.",
        "confident_mistakes",
        "mistakes",
        {"confident": len(sure), "mistakes": int(wrong.sum())},
        tuple(int(position) for position in ranked[:6]),
    )


def label_suspects(labels: NDArray, probabilities: NDArray) -> NDArray:
    """Positions of images whose label is likely wrong, the most suspicious first.

    Confident learning: a class's threshold is the mean probability that the images labelled with it get for it.
    An image is suspect when its most probable class among those above their thresholds is not its label. They
    are ranked by how much more probable that class is. C. Northcutt et al., JAIR 70 (2021), sections 3 and 4.
    Thresholds are at least CONFIDENT here: a weak model's are so low that it would suspect its own mistakes.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    images = np.bincount(labels, minlength=classes)
    # A class without images has no threshold to pass.
    thresholds = np.where(images > 0, np.bincount(labels, own, classes) / np.maximum(images, 1), np.inf)
    thresholds = np.maximum(thresholds, CONFIDENT)
    passing = np.where(probabilities >= thresholds, probabilities, -1.0)
    other = passing.argmax(axis=1)
    suspects = np.flatnonzero((passing.max(axis=1) >= 0) & (other != labels))
    margin = passing[suspects, other[suspects]] - own[suspects]
    return suspects[np.argsort(-margin, kind="stable")]


def likely_label_errors(evidence: Evidence) -> Iterator[Finding]:
    """How many test labels the model contradicts with confidence; people should look before anything is changed."""
    answers = evidence.predictions
    if answers is None:
        return
    suspects = label_suspects(answers.labels, answers.probabilities)
    if len(suspects):
        share = percent(len(suspects) / len(answers.labels))
        many = (
            f"{len(suspects):,} test labels ({share}) deserve"
            if len(suspects) > 1
            else "1 test label deserves"
        )
        yield Finding(
            f"{many} a second look: the model gives another class "
            f"{CONFIDENT:.0%} or more, and as much as that class's own images get. Often the mistake is its own.",
            "likely_label_errors",
            "labels",
            {"suspects": len(suspects), "share": len(suspects) / len(answers.labels)},
            tuple(int(position) for position in suspects[:6]),
        )


def robustness(evidence: Evidence) -> Iterator[Finding]:
    """Which corruption costs most accuracy at middle strength, and which least, where that is no chance.

    The two are the ends of all, so that their p-value counts for every pair (Bonferroni).
    """
    if not evidence.robustness:
        return
    saved = evidence.robustness
    n, clean = saved["images"], saved["clean"]
    middle = {name: values[len(values) // 2] for name, values in saved["accuracy"].items()}
    worst, best = min(middle, key=lambda name: middle[name]), max(middle, key=lambda name: middle[name])
    pairs, count = len(middle) * (len(middle) - 1) / 2, n / evidence.images_a_group
    p_value = min(1.0, pairs * two_shares_p((count * middle[worst], count * middle[best]), (count, count)))
    if len(middle) > 1 and p_value >= LEVEL:
        sentence = (
            f"At middle strength no corruption costs clearly more than another: of {percent(clean)}, "
            f"{percent(middle[worst])} to {percent(middle[best])} are left on {n:,} test images."
        )
    else:
        sentence = (
            f"At middle strength {worst} costs most: accuracy falls from {percent(clean)} to "
            f"{percent(middle[worst])} on {n:,} test images; {best} leaves {percent(middle[best])}."
        )
    yield Finding(
        sentence, "robustness", "robustness", {"clean": clean, "accuracy": middle, "p_value": p_value}
    )


RULES = (balance, calibration, abstaining, confident_mistakes, likely_label_errors, robustness)
