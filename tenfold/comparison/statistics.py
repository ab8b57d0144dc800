"""Statistics for two or more classifiers that answered the same images.

`correct` (S, N) bool throughout: which of N images each of S runs of one recipe (its seeds) got right.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
# Kinds of mistakes with fewer in both together, or beyond the most frequent, have no share of their own.
FEW, MOST = 20, 200
Array = NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """Accuracy of `b` minus that of `a`: the estimate, its 95 % interval, and the p-value of no difference."""

    difference: float
    ci95: tuple[float, float]
    p_value: float
    test: str
    only_a: int
    only_b: int


def compare_correct(correct_a: Array, correct_b: Array, seed: int = 0) -> Difference:
    """Compare two recipes on the same N images.

    The interval is a paired bootstrap over images; where a recipe was run with several seeds, those are drawn
    again too, so that it holds for other seeds as well. Single runs are tested by McNemar's exact mid-p test,
    pooled seeds by the bootstrap's standard error (a normal approximation). `only_a` and `only_b` count the
    images that the first run of one got right and that of the other wrong.
    """
    estimates = _bootstrap(correct_a, correct_b, np.random.default_rng(seed))
    difference = float(correct_b.mean() - correct_a.mean())
    only_a = int((correct_a[0] & ~correct_b[0]).sum())
    only_b = int((correct_b[0] & ~correct_a[0]).sum())
    if len(correct_a) == len(correct_b) == 1:
        p_value, test = mcnemar_mid_p(only_a, only_b), "McNemar mid-p"
    else:
        p_value, test = _normal_p(difference, float(estimates.std())), "seeds and images resampled"
    low, high = np.clip(np.percentile(estimates, [2.5, 97.5]), -1, 1)
    return Difference(difference, (float(low), float(high)), p_value, test, only_a, only_b)


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """Two-sided mid-p value of McNemar's exact test, from the images that just one of the two got right.

    M. W. Fagerland, S. Lydersen and P. Laake, BMC Medical Research Methodology 13:91 (2013).
    """
    from scipy.stats import binom

    fewer, total = min(only_a, only_b), only_a + only_b
    if only_a == only_b:
        return 1.0
    return float(min(1.0, 2 * binom.cdf(fewer, total, 0.5) - binom.pmf(fewer, total, 0.5)))


def _normal_p(difference: float, error: float) -> float:
    from scipy.stats import norm

    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(abs(difference) / error))


def mean_interval(correct: Array, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean accuracy over images and, where there are several, seeds."""
    nothing = np.zeros((1, correct.shape[1]), bool)
    estimates = _bootstrap(nothing, correct, np.random.default_rng(seed))
    low, high = np.clip(np.percentile(estimates, [2.5, 97.5]), 0, 1)
    return float(low), float(high)


def _bootstrap(correct_a: Array, correct_b: Array, random: np.random.Generator) -> Array:
    """(RESAMPLES,) differences of accuracy. Images with the same pattern of right and wrong are drawn together."""
    patterns, counts = np.unique(np.concatenate([correct_a, correct_b]), axis=1, return_counts=True)
    images = counts.sum()
    drawn = random.multinomial(images, counts / images, RESAMPLES) / images
    accuracy = drawn @ patterns.T
    split = len(correct_a)
    return _over_seeds(accuracy[:, split:], random) - _over_seeds(accuracy[:, :split], random)


def _over_seeds(accuracy: Array, random: np.random.Generator) -> Array:
    """The mean of each row's accuracies (R, S) over S seeds drawn again with replacement.

    A bootstrap of S values has (S - 1) / S of their variance, much too little for two or three seeds; the
    weights are spread to make up for it.
    """
    seeds = accuracy.shape[1]
    if seeds == 1:
        return accuracy[:, 0]
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), len(accuracy)) / seeds
    weights = 1 / seeds + (weights - 1 / seeds) * np.sqrt(seeds / (seeds - 1))
    return (accuracy * weights).sum(axis=1)


def error_distribution_p(labels: Array, predicted_a: Array, predicted_b: Array) -> float:
    """p-value of "both make the same kinds of mistakes, whatever their number"; arrays (N,) of class numbers.

    The shares of the mistakes that fall on each true class, on each predicted class, and on each pair of the two
    are compared by a Wald test each, and the smallest p-value counts three times. Their covariance is summed over
    the images (delta method), so that a mistake that both make on the same image does not count twice. 1.0 without
    mistakes.
    """
    wrong_a, wrong_b = predicted_a != labels, predicted_b != labels
    if not wrong_a.any() or not wrong_b.any():
        return 1.0
    either = wrong_a | wrong_b
    labels, predicted_a, predicted_b = labels[either], predicted_a[either], predicted_b[either]
    wrong_a, wrong_b = wrong_a[either], wrong_b[either]
    of_class = (labels.max() + 1) * np.array([predicted_a, predicted_b]) + labels
    kinds = ((labels, labels), (predicted_a, predicted_b), (of_class[0], of_class[1]))
    return min(1.0, len(kinds) * min(_shares_p(a, b, wrong_a, wrong_b) for a, b in kinds))


def _shares_p(class_a: Array, class_b: Array, wrong_a: Array, wrong_b: Array) -> float:
    """Wald test of equal shares of the wrong images' kinds; kinds with few mistakes are taken together."""
    classes = int(max(class_a.max(), class_b.max())) + 1
    counts = np.array(
        [np.bincount(c[w], minlength=classes) for c, w in ((class_a, wrong_a), (class_b, wrong_b))]
    )
    group = _groups(counts.sum(axis=0))
    groups = int(group.max()) + 1
    merged = np.stack([np.bincount(group, row, groups) for row in counts])
    totals = merged.sum(axis=1, keepdims=True)
    shares = merged / totals
    # Each image's part in the difference of the shares; its sum of squares is the difference's covariance.
    parts = np.zeros((len(class_a), groups))
    for sign, classes_of, wrong, share, total in (
        (1, class_a, wrong_a, shares[0], totals[0, 0]),
        (-1, class_b, wrong_b, shares[1], totals[1, 0]),
    ):
        rows = np.flatnonzero(wrong)
        parts[rows] -= sign * share / total
        parts[rows, group[classes_of[rows]]] += sign / total
    return _wald_p(shares[0] - shares[1], parts.T @ parts) if groups > 1 else 1.0


def _wald_p(difference: Array, covariance: Array) -> float:
    """p-value of no difference, for estimates with that covariance, which may lack directions."""
    from scipy.stats import chi2

    variances, directions = np.linalg.eigh(covariance)
    known = variances > 1e-9 * variances.max()
    along = directions.T @ difference
    if np.abs(along[~known]).max(initial=0) > 1e-6:
        return 0.0  # They differ in what does not vary at all: no kind is common to both.
    return float(chi2.sf((along[known] ** 2 / variances[known]).sum(), known.sum()))


def _groups(counts: Array) -> Array:
    """A group for each kind: its own for the MOST largest with at least FEW mistakes, the last one for the rest."""
    large = np.zeros(len(counts), bool)
    large[np.argsort(-counts, kind="stable")[:MOST]] = True
    large &= counts >= FEW
    group = np.cumsum(large) - 1
    group[~large] = large.sum()
    return group
