"""Statistics for two or more classifiers that answered the same images.

`correct` (S, N) bool throughout: which of N images each of S runs of one recipe (its seeds) got right.
`clusters` (N,) are numbers from 0 on of what is one piece of evidence, where images are not: groups, or copies of one
picture. Then variances are those of whole clusters (K.-Y. Liang and S. L. Zeger, Biometrika 73, 1986), with Student's
quantile for their number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.runs.metrics import effective_interval
from tenfold.runs.significance import normal_quantile

# Kinds of mistakes with fewer in both together, or beyond the most frequent, have no share of their own.
FEW, MOST = 20, 200
# With fewer clusters, kinds of mistakes are not compared: their covariance is too little known.
ENOUGH_CLUSTERS = 50
# Smaller p-values are all called 0.
_SMALLEST = 1e-12
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


def compare_correct(correct_a: Array, correct_b: Array, clusters: Array | None = None) -> Difference:
    """Compare two recipes on the same N images.

    The interval is Bonett and Price's ("Adjusted Wald confidence interval for a difference of binomial proportions
    based on paired data", J. Educational and Behavioral Statistics 37, 2012): as if two more images had been seen,
    one that only a and one that only b got right. Where a recipe was run with several seeds, their variance is added,
    so that it holds for other seeds too (`_student`); both recipes are taken to vary alike between them.

    Single runs are tested by McNemar's exact mid-p test, pooled seeds and clusters by that t. `only_a` and `only_b`
    count the images that the first run of one got right and that of the other wrong.
    """
    gains = correct_b.mean(axis=0) - correct_a.mean(axis=0)
    more = len(gains) + 2
    centre = gains.sum() / more
    of_images = (((gains**2).sum() + 2) / more - centre**2) / more
    if clusters is not None:  # the two more are clusters of their own
        of_images = _of_clusters(gains, clusters, float(centre), more, 2 * (1 + float(centre) ** 2))
    freedom = len(correct_a) + len(correct_b) - 2
    of_seeds = _between(correct_a, correct_b) * (1 / len(correct_a) + 1 / len(correct_b))
    error, quantile, p_value = _student(centre, of_images, of_seeds, freedom, _freedom(clusters))
    only_a = int((correct_a[0] & ~correct_b[0]).sum())
    only_b = int((correct_b[0] & ~correct_a[0]).sum())
    test = f"t over {'images' if clusters is None else 'whole groups of images'}{' and seeds' if freedom else ''}"
    if not freedom and clusters is None:
        p_value, test = mcnemar_mid_p(only_a, only_b), "McNemar mid-p"
    low, high = np.clip([centre - quantile * error, centre + quantile * error], -1, 1)
    return Difference(float(gains.mean()), (float(low), float(high)), p_value, test, only_a, only_b)


def _between(*groups: Array) -> float:
    """The variance of the accuracy between the seeds of a recipe, pooled over the recipes; 0 with one seed each."""
    freedom = sum(len(correct) - 1 for correct in groups)
    deviations = [correct.mean(axis=1) - correct.mean() for correct in groups]
    return float(sum((each**2).sum() for each in deviations)) / freedom if freedom else 0.0


def _of_clusters(values: Array, clusters: Array, centre: float, images: int, more: float = 0.0) -> float:
    """The variance of the mean of `values` (N,) over whole clusters; `more` is what others add to the squares."""
    sums = np.bincount(clusters, values - centre)
    if len(sums) < 2:
        return 1.0  # nothing is known of it: as large as can be
    return float(len(sums) / (len(sums) - 1) * ((sums**2).sum() + more) / images**2)


def _freedom(clusters: Array | None) -> float:
    """Degrees of freedom of the variance over images: as good as endless, or one less than there are clusters."""
    return np.inf if clusters is None else max(1, int(clusters.max()))


def _student(
    estimate: float, of_images: float, of_seeds: float, freedom: int, images_freedom: float = np.inf
) -> tuple[float, float, float]:
    """Standard error, 95 % quantile and p-value of an estimate with two variances, each on its degrees of freedom.

    A quantile is the mean of both (Student's, or with endless freedom the normal one), weighted by the variances (W.
    G. Cochran and G. M. Cox, "Experimental Designs", Wiley 1950, section 4.14).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri, stdtrit

    variance = of_images + of_seeds

    def quantile(p_value: float) -> float:
        few = of_seeds * stdtrit(freedom, p_value / 2) if of_seeds else 0.0
        many = ndtri(p_value / 2) if np.isinf(images_freedom) else stdtrit(images_freedom, p_value / 2)
        return -float(of_images * many + few) / variance

    error = variance**0.5
    reached = abs(estimate) / error
    p_value = (
        0.0 if reached > quantile(_SMALLEST) else brentq(lambda p: quantile(p) - reached, _SMALLEST, 1.0)
    )
    return error, quantile(0.05), float(p_value)  # pyright: ignore[reportArgumentType]


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """Two-sided mid-p value of McNemar's exact test, from the images that just one of the two got right.

    M. W. Fagerland, S. Lydersen and P. Laake, BMC Medical Research Methodology 13:91 (2013).
    """
    from scipy.special import betainc

    fewer, total = min(only_a, only_b), only_a + only_b
    if only_a == only_b:
        return 1.0
    # The binomial probabilities of at most so many, and of fewer, as beta distributions.
    at_most, below = betainc(total - fewer, fewer + 1, 0.5), betainc(total - fewer + 1, max(fewer, 1), 0.5)
    return float(min(1.0, at_most + (below if fewer else 0.0)))


def mean_interval(correct: Array, clusters: Array | None = None) -> tuple[float, float]:
    """95 % interval of the mean accuracy: exact for one run; for several seeds, it holds for other seeds too.

    The variance over images and that over seeds then make the exact interval of an effective number of images, with
    Student's quantile in place of the normal one (Korn and Graubard, as in `metrics.effective_interval`).
    """
    seeds, images = correct.shape
    share = float(correct.mean())
    of_images = float(correct.mean(axis=0).var()) / images
    if clusters is not None:
        of_images = _of_clusters(correct.mean(axis=0), clusters, share, images)
        images = int(clusters.max()) + 1
    of_seeds = _between(correct) / seeds
    if of_images + of_seeds:
        _, quantile, _ = _student(share, of_images, of_seeds, seeds - 1, _freedom(clusters))
        of_images, of_seeds = (
            variance * (quantile / normal_quantile(0.95)) ** 2 for variance in (of_images, of_seeds)
        )
    low, high = effective_interval(share, of_images + of_seeds, images)
    return low, high


def error_distribution_p(
    labels: Array, predicted_a: Array, predicted_b: Array, clusters: Array | None = None
) -> float:
    """p-value of "both make the same kinds of mistakes, whatever their number"; arrays (N,) of class numbers.

    The shares of the mistakes that fall on each true class, on each predicted class, and on each pair of the two
    are compared by a Wald test each, and the smallest p-value counts three times. Their covariance is summed over
    the images or clusters (delta method), so that a mistake that both make on the same image does not count twice.
    1.0 without mistakes, and with fewer than ENOUGH_CLUSTERS clusters.
    """
    wrong_a, wrong_b = predicted_a != labels, predicted_b != labels
    if not wrong_a.any() or not wrong_b.any():
        return 1.0
    if clusters is not None and clusters.max() + 1 < ENOUGH_CLUSTERS:
        return 1.0
    either = wrong_a | wrong_b
    labels, predicted_a, predicted_b = labels[either], predicted_a[either], predicted_b[either]
    wrong_a, wrong_b = wrong_a[either], wrong_b[either]
    clusters = (
        np.arange(len(labels)) if clusters is None else np.unique(clusters[either], return_inverse=True)[1]
    )
    of_class = (labels.max() + 1) * np.array([predicted_a, predicted_b]) + labels
    kinds = ((labels, labels), (predicted_a, predicted_b), (of_class[0], of_class[1]))
    return min(1.0, len(kinds) * min(_shares_p(a, b, wrong_a, wrong_b, clusters) for a, b in kinds))


def _shares_p(class_a: Array, class_b: Array, wrong_a: Array, wrong_b: Array, clusters: Array) -> float:
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
    sums = np.zeros((int(clusters.max()) + 1, groups))
    np.add.at(sums, clusters, parts)
    return _wald_p(shares[0] - shares[1], sums.T @ sums, len(sums)) if groups > 1 else 1.0


def _wald_p(difference: Array, covariance: Array, units: int) -> float:
    """p-value of no difference, for estimates whose covariance so many units give; it may lack directions.

    By the F distribution (H. Hotelling, "The generalization of Student's ratio", Ann. Math. Stat. 2, 1931): the
    covariance of many kinds is itself estimated, and chi-squared would take it for known. 1.0 for too few units, and
    where nothing differs and nothing varies.
    """
    from scipy.special import fdtrc

    variances, directions = np.linalg.eigh(covariance)
    known = variances > 1e-9 * variances.max()
    along = directions.T @ difference
    if np.abs(along[~known]).max(initial=0) > 1e-6:
        return 0.0  # They differ in what does not vary at all: no kind is common to both.
    kinds = int(known.sum())
    if not 0 < kinds < units:
        return 1.0
    statistic = float((along[known] ** 2 / variances[known]).sum())
    return float(fdtrc(kinds, units - kinds, statistic * (units - kinds) / (kinds * (units - 1))))


def _groups(counts: Array) -> Array:
    """A group for each kind: its own for the MOST largest with at least FEW mistakes, the last one for the rest."""
    large = np.zeros(len(counts), bool)
    large[np.argsort(-counts, kind="stable")[:MOST]] = True
    large &= counts >= FEW
    group = np.cumsum(large) - 1
    group[~large] = large.sum()
    return group
