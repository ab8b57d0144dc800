"""Statistics of two classifiers that answered the same images: published values, coverage, false alarms."""

import numpy as np
import pytest
from constructed import rights
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tenfold.comparison.statistics import compare_correct, error_distribution_p, mcnemar_mid_p, mean_interval


@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_lies_below_the_exact_p_and_is_symmetric(b, c):
    value = mcnemar_mid_p(b, c)
    assert value == pytest.approx(mcnemar_mid_p(c, b))
    assert 0 <= value <= 1
    if b != c:
        assert value <= binomtest(min(b, c), b + c).pvalue


def test_mid_p_of_a_published_example():
    # Fagerland et al. 2013, table 4: one and seven discordant pairs give a mid-p value of 0.0391.
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_the_paired_interval_is_narrower_than_the_unpaired():
    both = rights(2000, 0.7, 0)
    better = both | rights(2000, 0.1, 1)
    found = compare_correct(both[None], better[None])
    low, high = found.ci95
    assert low <= found.difference <= high
    assert high - low < 0.03 < 2 * 1.96 * np.sqrt(2 * 0.7 * 0.3 / 2000)
    assert (found.only_a, found.only_b) == (0, int((better & ~both).sum()))
    assert found.p_value < 1e-10


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        shared = random.random(300) < 0.6
        a, b = shared & (random.random(300) < 0.9), shared | (random.random(300) < 0.2)
        low, high = compare_correct(a[None], b[None]).ci95
        covered += low <= (0.6 + 0.4 * 0.2) - 0.6 * 0.9 <= high
    assert 0.90 <= covered / 200 <= 0.99


def in_groups(random, groups, each, share):
    """(groups * each,) bool: right or wrong in whole groups, mostly."""
    return (
        random.beta(0.3, 0.3 * (1 - share) / share, groups)[:, None] > random.random((groups, each))
    ).ravel()


@pytest.mark.parametrize("groups", [5, 12, 60])
def test_groups_are_one_piece_of_evidence_each(groups):
    """Two equally good models on groups of ten images: called different at 5 %, and the interval covers 0."""
    random, clusters = np.random.default_rng(0), np.repeat(np.arange(groups), 10)
    found, alone, covered = [], [], []
    for _ in range(200):
        a, b = (in_groups(random, groups, 10, 0.7)[None] for _ in range(2))
        whole = compare_correct(a, b, clusters)
        found.append(whole.p_value < 0.05)
        covered.append(whole.ci95[0] <= 0 <= whole.ci95[1])
        alone.append(compare_correct(a, b).p_value < 0.05)
    assert np.mean(found) <= 0.1
    assert np.mean(covered) >= 0.9
    assert np.mean(alone) > 0.25
    assert whole.test == "t over whole groups of images"


def test_groups_of_one_image_change_next_to_nothing():
    a, b, alone = rights(400, 0.7, 0)[None], rights(400, 0.75, 1)[None], np.arange(400)
    np.testing.assert_allclose(compare_correct(a, b, alone).ci95, compare_correct(a, b).ci95, atol=1e-3)
    np.testing.assert_allclose(mean_interval(a, alone), mean_interval(a), atol=5e-3)
    labels, said = np.repeat([0, 1, 2, 3], 100), np.random.default_rng(0).integers(0, 4, (2, 400))
    plain = error_distribution_p(labels, *said)
    assert error_distribution_p(labels, *said, alone) == pytest.approx(plain)
    assert error_distribution_p(labels, *said, alone // 10) == 1.0


def test_one_group_says_nothing():
    a, b = rights(50, 0.3, 0)[None], rights(50, 0.9, 1)[None]
    found = compare_correct(a, b, np.zeros(50, int))
    assert found.p_value > 0.05
    low, high = mean_interval(b, np.zeros(50, int))
    assert high - low > 0.5


def test_seeds_widen_the_interval():
    one = rights(1000, 0.7, 0)
    seeds = np.stack([rights(1000, share, k) for k, share in enumerate((0.5, 0.7, 0.9))])
    narrow, wide = mean_interval(one[None]), mean_interval(seeds)
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def answers(random, labels, shared, own, kinds):
    """Answers of two models: they fail together on `shared` of the images, and each alone on its share of `own`."""
    fails = random.random((2, len(labels))) < np.array(own)[:, None]
    fails |= random.random(len(labels)) < shared
    together = np.array([random.choice(len(kind), p=kind) for kind in np.array(kinds[0])[labels]])
    predicted = []
    for failed, kind in zip(fails, kinds, strict=True):
        alone = np.array([random.choice(len(row), p=row) for row in np.array(kind)[labels]])
        same = fails.all(axis=0) if kind is kinds[0] or kinds[0] == kinds[1] else np.zeros(len(labels), bool)
        predicted.append(np.where(failed, np.where(same, together, alone), labels))
    return predicted


ONE_KIND = [[0, 0.5, 0.3, 0.2], [0.6, 0, 0.2, 0.2], [0.1, 0.1, 0, 0.8], [0.3, 0.3, 0.4, 0]]


OTHER_KIND = [[0, 0.3, 0.5, 0.2], [0.2, 0, 0.6, 0.2], [0.5, 0.4, 0, 0.1], [0.3, 0.3, 0.4, 0]]


@pytest.mark.slow
def test_equal_kinds_of_mistakes_are_called_different_as_seldom_as_promised():
    random = np.random.default_rng(0)
    labels = np.arange(2000) % 4
    called = [
        error_distribution_p(labels, *answers(random, labels, 0.15, (0.1, 0.02), (ONE_KIND, ONE_KIND))) < 0.05
        for _ in range(60)
    ]
    assert np.mean(called) <= 0.12


def test_other_kinds_of_mistakes_are_found_although_many_are_shared():
    random = np.random.default_rng(0)
    labels = np.arange(4000) % 4
    shared = answers(random, labels, 0.2, (0.0, 0.0), (ONE_KIND, ONE_KIND))[0]
    also = answers(random, labels, 0.0, (0.1, 0.1), (OTHER_KIND, OTHER_KIND))[0]
    both = np.where(also != labels, also, shared)
    assert error_distribution_p(labels, shared, both) < 0.01
    assert error_distribution_p(labels, labels, both) == 1.0
    assert error_distribution_p(labels, both, both) == 1.0


def test_several_seeds_widen_less_the_more_images_agree():
    same = np.tile(rights(1000, 0.9, 0), (3, 1))
    apart = np.stack([rights(1000, share, k) for k, share in enumerate((0.88, 0.9, 0.92))])
    near, far = (mean_interval(correct) for correct in (same, apart))
    assert far[1] - far[0] > near[1] - near[0]
    assert near == pytest.approx(mean_interval(same[:1]))


def test_three_seeds_that_agree_on_one_image_prove_nothing():
    a, b = np.zeros((3, 1), bool), np.ones((3, 1), bool)
    assert compare_correct(a, b).p_value > 0.05
