"""Statistics for two or more classifiers that answered the same images.

`correct` (S, N) bool throughout: which of N images each of S runs of one recipe (its seeds) got right.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
# Cells of resampled tables held at once, so that many classes need megabytes, not gigabytes.
_CELLS = 2_000_000
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


def error_distribution_p(matrix_a: Array, matrix_b: Array, seed: int = 0) -> float:
    """p-value of "both make the same kinds of mistakes, whatever their number".

    The mistakes of each (its confusion matrix without the diagonal) are compared by the chi-square statistic;
    its distribution under the hypothesis is drawn (Monte Carlo), because most cells are small. Treating the two
    as independent although they saw the same images makes the test conservative. 1.0 without mistakes.
    """
    off = ~np.eye(len(matrix_a), dtype=bool)
    table = np.array([matrix_a[off], matrix_b[off]])
    table = table[:, table.sum(axis=0) > 0]
    mistakes = table.sum(axis=1)
    if mistakes.min() == 0 or table.shape[1] < 2:
        return 1.0
    random = np.random.default_rng(seed)
    pooled = table.sum(axis=0) / table.sum()
    found, larger = _chi_square(table[None])[0], 0
    rounds = max(1, _CELLS // table.size)
    for start in range(0, RESAMPLES, rounds):
        size = min(rounds, RESAMPLES - start)
        drawn = np.stack([random.multinomial(count, pooled, size) for count in mistakes], axis=1)
        larger += int((_chi_square(drawn) >= found).sum())
    return (1 + larger) / (1 + RESAMPLES)


def _chi_square(tables: Array) -> Array:
    """Chi-square statistic of each of (R, 2, C) tables of counts."""
    columns = tables.sum(axis=1, keepdims=True)
    expected = columns * tables.sum(axis=2, keepdims=True) / tables.sum(axis=(1, 2), keepdims=True)
    terms = np.divide((tables - expected) ** 2, expected, out=np.zeros(tables.shape), where=expected > 0)
    return terms.sum(axis=(1, 2))
