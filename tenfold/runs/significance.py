"""Tests of what may be chance: p-values, and their correction where many are looked at together.

Each rule that calls something "more than chance" asks here; `bench/null_rates.py` measures how often each is wrong
where there is nothing to find. The distributions are those of `scipy.special`: `scipy.stats` is slow to import.
"""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LEVEL = 0.05
SHUFFLES = 499


def holm(p_values: Array, looks: int | None = None) -> Array:
    """(M,) p-values adjusted for M looks by Holm's step-down method: compare them with 0.05 as if each were alone.

    Where there were more `looks`, those that are not among them have larger p-values than all of these.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values)
    stepped = p_values[order] * ((looks or len(p_values)) - np.arange(len(p_values)))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted


def same_share_p(successes: Array, trials: Array) -> Array:
    """(M,) p-values of "this group's share of successes is that of all the others together"; trials above 0.

    The hypergeometric test (Fisher's, twice the smaller tail): exact whatever the sizes, because the groups' sizes
    and the number of successes are taken as they are. R. A. Fisher, "The logic of inductive inference", JRSS 98
    (1935).
    """
    successes, trials = np.asarray(successes), np.asarray(trials)
    whole = int(trials.sum()), int(successes.sum())
    tails = [_smaller_tail(*whole, *group) for group in zip(trials.tolist(), successes.tolist(), strict=True)]
    return np.minimum(1, 2 * np.array(tails))


def _smaller_tail(total: int, marked: int, drawn: int, found: int) -> float:
    """The smaller of the probabilities of at most and at least `found` marked ones in `drawn` of `total` things."""
    from scipy.special import betaln

    def log_ways(things: int, chosen: Any) -> Any:
        return -betaln(chosen + 1, things - chosen + 1) - np.log(things + 1)

    here = np.arange(max(0, drawn + marked - total), min(marked, drawn) + 1)
    ways = log_ways(marked, here) + log_ways(total - marked, drawn - here) - log_ways(total, drawn)
    chances = np.exp(ways)
    return float(min(chances[here <= found].sum(), chances[here >= found].sum()))


def two_shares_p(successes: tuple[float, float], trials: tuple[float, float]) -> float:
    """p-value of "both shares of successes are the same", of two groups that have nothing in common; as above."""
    counts = np.rint(successes).astype(int), np.rint(trials).astype(int)
    return float(same_share_p(*counts)[0]) if min(trials) > 0 else 1.0


def more_than_p(count: Array, trials: Array, share: float) -> Array:
    """p-values of "each trial counts with this probability", against more than that: exact binomial tails."""
    from scipy.special import betainc

    count, trials = np.asarray(count), np.asarray(trials)
    # The tail is a beta distribution's, whose parameters are above 0; at least none is certain.
    some = count > 0
    return np.where(some, betainc(np.where(some, count, 1), np.maximum(trials - count, 0) + 1, share), 1.0)


def group_means_p(values: Array, groups: Array, widening: Array, seed: int = 0) -> Array:
    """(K,) p-values of "all groups have one distribution of values", against a mean apart; corrected for K looks.

    values (N,), groups (N,) of 0 to K - 1, each with a value; `widening` (K,) is by how much more than their values'
    spread the means vary. Values are dealt to the groups anew SHUFFLES times, and each group's distance from the mean
    is held against the largest of each deal. P. H. Westfall and S. S. Young, "Resampling-based multiple testing"
    (Wiley 1993), section 2.3.
    """
    random, sizes = np.random.default_rng(seed), np.bincount(groups)
    mean = values.mean()

    def distances(dealt: Array) -> Array:
        return np.abs(np.bincount(groups, dealt) / sizes - mean) * np.sqrt(sizes)

    largest = np.array([distances(random.permutation(values)).max() for _ in range(SHUFFLES)])
    # What is equal but for rounding counts as equal.
    reached = largest[:, None] >= (distances(values) / widening) * (1 - 1e-9)
    return (1 + reached.sum(axis=0)) / (1 + SHUFFLES)


def rising_p(values: Array) -> float:
    """p-value of "values that follow each other are in no order", against a rise.

    Kendall's tau, exact. M. G. Kendall, "A new measure of rank correlation", Biometrika 30 (1938); 1.0 for fewer than
    two values, or where all are equal.
    """
    from scipy.stats import kendalltau

    if len(set(values)) < 2:
        return 1.0
    return float(kendalltau(np.arange(len(values)), values, alternative="greater").pvalue)  # pyright: ignore


def normal_quantile(confidence: float) -> float:
    """How many standard deviations on either side hold that share of a normal distribution: 0.95 -> 1.96."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)
