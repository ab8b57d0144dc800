"""Curves over the threshold of one class's probability, against the rest, and the areas under them.

Throughout: `truth` (N,) says which images are of the class, `scores` (N,) are their probabilities of it; there are
some of the class and some of others. The same points and areas as scikit-learn's, in NumPy alone: importing that
takes half a second.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _counts(truth: Array, scores: Array) -> tuple[Array, Array]:
    """How many of the others and how many of the class reach each different score, the highest score first."""
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    ours = np.cumsum(truth[order], dtype=np.float64)[last_of_score]
    return 1 + last_of_score - ours, ours


def roc_curve(truth: Array, scores: Array) -> tuple[Array, Array]:
    """False and true positive rates (M,) from (0, 0) to (1, 1), without points inside a straight stretch.

    T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006), algorithm 1.
    """
    others, ours = _counts(truth, scores)
    if len(others) > 2:
        corner = (np.diff(others, 2) != 0) | (np.diff(ours, 2) != 0)
        kept = np.concatenate([[True], corner, [True]])
        others, ours = others[kept], ours[kept]
    return tuple(np.concatenate([[0.0], counts]) / counts[-1] for counts in (others, ours))


def roc_auc(truth: Array, scores: Array) -> float:
    """Area under the ROC curve: how often an image of the class scores higher than another, ties by half."""
    false_positives, true_positives = roc_curve(truth, scores)
    return float(np.trapezoid(true_positives, false_positives))


def precision_recall_curve(truth: Array, scores: Array) -> tuple[Array, Array]:
    """Recall and precision (M,), from recall 0, where the precision is 1 by convention, to recall 1."""
    others, ours = _counts(truth, scores)
    return np.append(0.0, ours / ours[-1]), np.append(1.0, ours / (ours + others))


def average_precision(truth: Array, scores: Array) -> float:
    """The precisions at each threshold, weighted by the recall that it gains over the one before.

    Added up from the last threshold on, as scikit-learn does, so that even the last bits are the same.
    """
    recall, precision = precision_recall_curve(truth, scores)
    return float(np.sum((np.diff(recall) * precision[1:])[::-1]))
