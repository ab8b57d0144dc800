"""From predictions of validation and training images to what answers mean: temperature, thresholds, likeness."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tenfold.inference.contract import Calibration
from tenfold.inference.familiarity import Familiarity, Seen, free_energy
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


def learn_familiarity(training: Seen, changed: np.ndarray, validation: Seen) -> Familiarity | None:
    """What training images are like, and from where on a picture is unlike them.

    `changed` (m, S): the statistics of harmless changes of training images.

    The threshold is the least that no more than `FALSE_ALARMS` of the validation images pass. None with so few of
    either that it would say nothing.
    """
    if len(training.logits) < 2 or not len(validation.logits):
        return None
    known = np.concatenate([training.statistics, changed])
    centre, whitening = known.mean(0), _whitening(known)
    energies = free_energy(training.logits)
    distances = np.square((training.statistics - centre) @ whitening).sum(1)
    learned = Familiarity(
        training_images=len(training.logits),
        validation_images=len(validation.logits),
        centre=tuple(centre.tolist()),
        whitening=tuple(tuple(row) for row in whitening.tolist()),
        energy=_scale(energies),
        distance=_scale(distances),
        threshold=math.inf,
        false_alarms=0.0,
    )
    strangeness = np.sort(learned.strangeness(validation))
    rank = min(math.ceil((len(strangeness) + 1) * (1 - FALSE_ALARMS)), len(strangeness))
    threshold = float(strangeness[rank - 1])
    return replace(learned, threshold=threshold, false_alarms=float((strangeness > threshold).mean()))


def _whitening(values: np.ndarray) -> np.ndarray:
    """The matrix (S, S) by which values (n, S) get a covariance of one, on the safe side where n is small.

    The covariance is shrunk towards the variances (Ledoit and Wolf, 2004), so that no direction counts that only few
    images have made narrow. A statistic that never changes counts for as much as a thousandth.
    """
    deviations = np.maximum(values.std(0), 1e-3)
    scaled = (values - values.mean(0)) / deviations
    count, size = scaled.shape
    covariance = scaled.T @ scaled / count
    mean = float(np.trace(covariance)) / size
    far = float(np.square(covariance - mean * np.eye(size)).sum())
    noise = float((np.square(scaled).T @ np.square(scaled) / count - np.square(covariance)).sum()) / count
    share = min(noise / far, 1.0) if far > 0 else 1.0
    roots, axes = np.linalg.eigh((1 - share) * covariance + share * mean * np.eye(size))
    return (axes / np.sqrt(np.maximum(roots, 1e-6))) / deviations[:, None]


def _scale(values: np.ndarray) -> tuple[float, float]:
    middle, high = np.quantile(values, (0.5, 1 - FALSE_ALARMS))
    return float(middle), max(float(high - middle), 1e-6)
