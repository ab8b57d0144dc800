"""Contracts of drawn answers and noise."""

import numpy as np

from tenfold.inference.calibrate import calibrate, learn_familiarity
from tenfold.inference.contract import Contract
from tenfold.inference.familiarity import Seen, pixel_statistics
from tenfold.inference.predictor import softmax

NAMES = ("10", "2", "Ärger", "日本", "a/b")


def drawn(count: int, sharpness: float, seed: int = 0):
    """Labels that are drawn from the softmax of logits, and those logits times `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, len(NAMES))) * 2
    labels = (softmax(logits).cumsum(1) < rng.random((count, 1))).sum(1).clip(max=len(NAMES) - 1)
    return labels, (logits * sharpness).astype(np.float32)


def noise(count: int, seed: int = 0) -> np.ndarray:
    """Gray noise of various strengths: (N, 8, 8, 3) uint8."""
    rng = np.random.default_rng(seed)
    values = 128 + rng.normal(size=(count, 8, 8, 3)) * rng.uniform(5, 25, (count, 1, 1, 1))
    return values.clip(0, 255).astype(np.uint8)


def seen(logits: np.ndarray, seed: int = 0) -> Seen:
    return Seen(logits, pixel_statistics(noise(len(logits), seed)))


def contract_of(count: int = 2000, sharpness: float = 3.0) -> Contract:
    labels, logits = drawn(count, sharpness)
    training, changed = seen(drawn(count, sharpness, 1)[1], 1), pixel_statistics(noise(9, 2))
    return Contract(
        NAMES, (3, 8, 8), "hash", calibration=calibrate(labels, softmax(logits)),
        familiarity=learn_familiarity(training, changed, seen(logits)),
    )  # fmt: skip
