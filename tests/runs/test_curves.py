"""Curves over a threshold against scikit-learn's, to the last bit: figures and metrics.json had those before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from tenfold.runs.curves import average_precision, precision_recall_curve, roc_auc, roc_curve

# Few different scores, so that many are equal, or almost all different ones.
scored = st.tuples(st.integers(2, 200), st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 10_000]))


def images(count, seed, steps, kind=np.float64):
    random = np.random.default_rng(seed)
    truth = random.random(count) < random.random()
    truth[:2] = [True, False]
    return truth, (random.integers(0, steps + 1, count) / steps).astype(kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(scored)
def test_curves_and_areas_are_scikit_learns(kind, case):
    truth, scores = images(*case, kind=kind)
    for ours, theirs in zip(roc_curve(truth, scores), sk.roc_curve(truth, scores), strict=False):
        np.testing.assert_array_equal(ours, theirs)
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    np.testing.assert_array_equal(precision_recall_curve(truth, scores), (recall[::-1], precision[::-1]))
    assert roc_auc(truth, scores) == sk.roc_auc_score(truth, scores)
    assert average_precision(truth, scores) == sk.average_precision_score(truth, scores)


def test_a_curve_ends_in_its_corners_and_an_area_of_equal_scores_is_half():
    truth, scores = np.array([True, False, False]), np.array([0.4, 0.4, 0.4])
    assert [part.tolist() for part in roc_curve(truth, scores)] == [[0, 1], [0, 1]]
    assert roc_auc(truth, scores) == 0.5
    assert roc_auc(truth, np.array([0.9, 0.4, 0.5])) == 1.0
