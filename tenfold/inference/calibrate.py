"""From validation predictions and training images' logits to what answers mean: temperature, thresholds, likeness."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tenfold.inference.contract import Calibration, Familiarity
from tenfold.runs.metrics import TEMPERATURE_MISTAKES, fit_temperature, with_temperature

# Rows of the table of confidence: fine enough that the next threshold answers about one picture in a hundred more.
ROWS = 100
COVERAGES = (*(share / 100 for share in range(50, 100)), 0.995, 0.999)
# A picture is called unlike the training images where validation images are no more often than this.
FALSE_ALARMS = 0.05


def calibrate(
    labels: np.ndarray, probabilities: np.ndarray, emphasis: Sequence[float] | None = None
) -> Calibration:
    """What validation's labels (N,) and raw probabilities (N, K) say of the model's answers.

    `emphasis` (K,) is that of training (`Fit.emphasis`). What was learned with one are probabilities for classes in
    other shares than validation's, so the images of each class count so much when the temperature is fitted. The
    tables of confidence and coverage are of the images as they are.
    """
    mistakes = int((probabilities.argmax(1) != labels).sum())
    temperature = fit_temperature(
        labels, probabilities, None if emphasis is None else np.array(emphasis)[labels]
    )
    corrected = with_temperature(probabilities, temperature or 1.0)
    return Calibration(
        images=len(labels),
        mistakes=mistakes,
        temperature=temperature or 1.0,
        note=_note(len(labels), mistakes, temperature) + (_EMPHASISED if emphasis is not None else ""),
        confidence=_confidence(labels, corrected),
        conformal=_conformal(corrected[np.arange(len(labels)), labels]),
        emphasis=None if emphasis is None else tuple(emphasis),
    )


# Where training counted the images of some classes more than those of others.
_EMPHASISED = "; for classes in their shares of training times calibration.emphasis"


def _note(images: int, mistakes: int, temperature: float | None) -> str:
    if temperature is not None:
        return f"fitted on {images:,} validation images, {mistakes:,} of them mistakes"
    if mistakes < TEMPERATURE_MISTAKES:
        return (
            f"1, because {mistakes} mistakes in {images:,} validation images are too few to fit a temperature on "
            f"(at least {TEMPERATURE_MISTAKES})"
        )
    return "1, because no temperature within reason fits the validation images best"


def _confidence(labels: np.ndarray, corrected: np.ndarray) -> tuple[tuple[float, int, int], ...]:
    """Rows (probability, answered, right), from the surest few to all: only the last asks nothing (probability 0)."""
    confidence, right = corrected.max(1), corrected.argmax(1) == labels
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], np.cumsum(right[order])
    count = len(labels)
    # Equal probabilities cannot be told apart by a threshold: only the last of them ends a row.
    ends = np.flatnonzero(np.append(confidence[:-1] > confidence[1:], True))
    wanted = np.searchsorted(ends, np.linspace(0, count - 1, min(ROWS, count)).astype(int))
    rows = [(float(confidence[i]), int(i) + 1, int(right[i])) for i in sorted(set(ends[wanted].tolist()))]
    return (*rows[:-1], (0.0, *rows[-1][1:]))


def _conformal(true: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Rows (coverage, least probability), from the probabilities (N,) of the true classes.

    For a coverage of c the ceil((N + 1) c)-th largest of them, which covers a new picture with at least c.
    """
    ordered, count = np.sort(true)[::-1], len(true)
    ranks = [(coverage, math.ceil((count + 1) * coverage - 1e-9)) for coverage in COVERAGES]
    return tuple((coverage, float(ordered[rank - 1])) for coverage, rank in ranks if rank <= count)


def learn_familiarity(training: np.ndarray, validation: np.ndarray) -> Familiarity | None:
    """What training images' logits (N, K) look like, and from where on a picture is unlike them.

    The threshold is the least that no more than `FALSE_ALARMS` of the validation images' logits (M, K) pass. None
    with so few of either that it would say nothing.
    """
    if len(training) < 2 or not len(validation):
        return None
    named, classes = training.argmax(1), training.shape[1]
    own = training[np.arange(len(training)), named].astype(np.float64)
    mean, deviation = np.full(classes, own.mean()), np.full(classes, max(own.std(), 1e-6))
    order = np.argsort(named, kind="stable")
    bounds = np.searchsorted(named[order], np.arange(classes + 1))
    for index, (start, stop) in enumerate(pairwise(bounds)):
        values = own[order[start:stop]]
        if len(values) >= 10 and values.std() > 1e-6:
            mean[index], deviation[index] = values.mean(), values.std()
    learned = Familiarity(
        len(training), len(validation), tuple(mean.tolist()), tuple(deviation.tolist()), math.inf, 0.0
    )
    strangeness = np.sort(learned.strangeness(validation))
    rank = min(math.ceil((len(strangeness) + 1) * (1 - FALSE_ALARMS)), len(strangeness))
    threshold = float(strangeness[rank - 1])
    alarms = float((strangeness > threshold).mean())
    return Familiarity(
        len(training),
        len(validation),
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        threshold,
        alarms,
    )
