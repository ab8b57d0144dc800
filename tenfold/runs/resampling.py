"""Test sets drawn again: how often the images of each class, or whole groups of images, might have come otherwise."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# How many images of each class are right, belong to it, and are taken for it: (..., K) each.
Margins = tuple[Array, Array, Array]

RESAMPLES = 1000
# Resamples drawn at once, so that many classes need megabytes, not gigabytes.
_CHUNK = 100


def margins_of(matrix: Array) -> Margins:
    """The margins of one confusion matrix."""
    return np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)


def ratio(part: Array, whole: Array) -> Array:
    """part / whole, 0 where the whole is."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def resampled(
    matrix: Array, labels: Array, predicted: Array, clusters: Array | None, random: np.random.Generator
) -> Margins:
    """Margins of RESAMPLES resampled test sets, (R, K) each: of images, or of whole `clusters` of them.

    Resampling N images with replacement changes only how often each cell of the confusion matrix is hit, so the
    cells are drawn from a multinomial distribution: the same bootstrap without touching the images. Clusters are
    drawn likewise, and bring all their images (the cluster bootstrap: A. C. Davison and D. V. Hinkley, "Bootstrap
    Methods and their Application", Cambridge 1997, section 3.8).
    """
    if clusters is not None:
        return _resampled_clusters(len(matrix), labels, predicted, clusters, random)
    rows, columns = np.nonzero(matrix)
    total = matrix.sum()
    parts = []
    for start in range(0, RESAMPLES, _CHUNK):
        draws = random.multinomial(total, matrix[rows, columns] / total, min(_CHUNK, RESAMPLES - start))
        right = _sums(np.where(rows == columns, draws, 0), rows, len(matrix))
        parts.append((right, _sums(draws, rows, len(matrix)), _sums(draws, columns, len(matrix))))
    return _joined(parts)


def _resampled_clusters(
    classes: int, labels: Array, predicted: Array, clusters: Array, random: np.random.Generator
) -> Margins:
    from scipy.sparse import csr_array

    count = int(clusters.max()) + 1
    right = labels == predicted

    def held(names: Array, clusters: Array) -> Any:
        """(clusters, K): how many images of each class there are in each cluster."""
        return csr_array((np.ones(len(names)), (clusters, names)), shape=(count, classes))

    tables = (held(labels[right], clusters[right]), held(labels, clusters), held(predicted, clusters))
    parts = []
    for start in range(0, RESAMPLES, _CHUNK):
        draws = random.multinomial(count, np.full(count, 1 / count), min(_CHUNK, RESAMPLES - start))
        parts.append(tuple((table.T @ draws.T).T for table in tables))
    return _joined(parts)


def _joined(parts: list[Margins]) -> Margins:
    right, support, predicted = (np.concatenate(values) for values in zip(*parts, strict=True))
    return right, support, predicted


def clusters_of(groups: Array) -> Array:
    """(N,) numbers from 0 on of what is resampled: a group, or an image without one."""
    alone = groups.max() + 1 + np.arange(len(groups))
    return np.unique(np.where(groups < 0, alone, groups), return_inverse=True)[1]


def cluster_counts(labels: Array, predicted: Array, clusters: Array, classes: int) -> Margins:
    """(K,) each: how many clusters have an image that is taken for a class, one of the class, and either."""
    taken, own = (clusters * classes + names for names in (predicted, labels))
    either = np.concatenate([taken, own])
    count = partial(np.bincount, minlength=classes)
    return (
        count(np.unique(taken) % classes),
        count(np.unique(own) % classes),
        count(np.unique(either) % classes),
    )


def _sums(draws: Array, classes_of_cells: Array, classes: int) -> Array:
    """(R, K): the counts of the cells that belong to each class, added up."""
    order = np.argsort(classes_of_cells, kind="stable")
    present, starts = np.unique(classes_of_cells[order], return_index=True)
    sums = np.zeros((len(draws), classes))
    sums[:, present] = np.add.reduceat(draws[:, order], starts, axis=1)
    return sums


def widening(clusters: int) -> float:
    """How many times wider than their percentiles the intervals of so few clusters should be.

    Resampled clusters vary by (G - 1) / G of the variance, and a few of them know it badly: so the quantile of
    Student's t with G - 1 degrees of freedom in the place of the normal one (A. C. Cameron, J. B. Gelbach and
    D. L. Miller, "Bootstrap-based improvements for inference with clustered errors", Rev. Econ. Stat. 90 (2008)).
    """
    from scipy.special import ndtri, stdtrit

    if clusters < 2:
        return np.inf
    return float(stdtrit(clusters - 1, 0.975) / ndtri(0.975) * np.sqrt(clusters / (clusters - 1)))
