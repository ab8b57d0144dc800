"""Test sets drawn again: the margins of the bootstrap, of images and of whole groups."""

import numpy as np
import pytest

from tenfold.runs.resampling import (
    RESAMPLES,
    cluster_counts,
    clusters_of,
    margins_of,
    ratio,
    resampled,
    widening,
)

LABELS = np.repeat([0, 1, 2], [50, 30, 20])
PREDICTED = np.where(np.arange(100) % 5 == 0, (LABELS + 1) % 3, LABELS)
MATRIX = np.zeros((3, 3), int)
np.add.at(MATRIX, (LABELS, PREDICTED), 1)


def test_margins_are_what_is_right_what_is_there_and_what_is_said():
    right, support, predicted = margins_of(MATRIX)
    assert right.tolist() == [40, 24, 16]
    assert support.tolist() == [50, 30, 20]
    assert predicted.tolist() == MATRIX.sum(0).tolist()


def test_a_ratio_of_nothing_is_nothing():
    assert ratio(np.array([1, 0]), np.array([4, 0])).tolist() == [0.25, 0]


@pytest.mark.parametrize("clusters", [None, np.arange(100)])
def test_resampled_margins_are_spread_as_the_bootstraps(clusters):
    right, support, predicted = resampled(MATRIX, LABELS, PREDICTED, clusters, np.random.default_rng(0))
    assert right.shape == support.shape == predicted.shape == (RESAMPLES, 3)
    assert (support.sum(1) == 100).all()
    assert (predicted.sum(1) == 100).all()
    assert (right <= np.minimum(support, predicted)).all()
    shares = np.array([0.5, 0.3, 0.2])
    error = 10 * np.sqrt(shares * (1 - shares))  # of the binomial, for 100 images
    np.testing.assert_allclose(support.mean(0), 100 * shares, atol=4 * error.max() / RESAMPLES**0.5)
    np.testing.assert_allclose(support.std(0), error, rtol=0.1)


def test_whole_groups_come_together():
    clusters = np.arange(100) // 10  # every ten images are of one class
    _, support, _ = resampled(MATRIX, LABELS, PREDICTED, clusters, np.random.default_rng(0))
    assert set((support % 10).ravel().tolist()) == {0}
    alone = resampled(MATRIX, LABELS, PREDICTED, None, np.random.default_rng(0))[1]
    assert support.std(0).min() > 2 * alone.std(0).max()


def test_the_seed_decides():
    one, same, other = (
        resampled(MATRIX, LABELS, PREDICTED, None, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    assert (one == same).all()
    assert (one != other).any()


def test_an_image_without_a_group_is_one_of_its_own():
    found = clusters_of(np.array([7, -1, 7, 3, -1]))
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 4
    assert sorted(set(found.tolist())) == [0, 1, 2, 3]


def test_few_clusters_widen_their_intervals():
    assert widening(1) == np.inf
    assert widening(2) > widening(10) > widening(1000) > 1
    assert widening(10**6) == pytest.approx(1, abs=1e-4)


def test_clusters_are_counted_for_each_class_that_they_have_an_image_of():
    labels, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    taken, own, either = cluster_counts(labels, predicted, np.array([0, 0, 0, 1, 2]), 3)
    assert taken.tolist() == [2, 2, 0]
    assert own.tolist() == [1, 2, 1]
    assert either.tolist() == [2, 2, 1]
