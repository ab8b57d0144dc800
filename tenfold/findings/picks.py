"""Which test images a report shows: positions into the predictions, the most telling first."""

import numpy as np
from numpy.typing import NDArray

from tenfold.findings.trust import label_suspects

SHOWN = 12


def picks(labels: NDArray, probabilities: NDArray, count: int = SHOWN) -> dict[str, list[int]]:
    """`count` images each: "mistakes" with the most confidence, "uncertain" ones with the least, "suspects" by label.

    labels (N,) int64; probabilities (N, K).
    """
    confidence = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != labels
    mistakes = np.argsort(np.where(wrong, -confidence, np.inf), kind="stable")[: min(count, int(wrong.sum()))]
    return {
        "mistakes": mistakes.tolist(),
        "uncertain": np.argsort(confidence, kind="stable")[:count].tolist(),
        "suspects": label_suspects(labels, probabilities)[:count].tolist(),
    }
