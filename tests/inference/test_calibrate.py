"""What validation images support: a temperature, thresholds, likeness."""

import numpy as np
import pytest
from contracts import contract_of

from tenfold.inference.calibrate import _whitening, calibrate
from tenfold.inference.contract import _proven
from tenfold.inference.predictor import softmax


def test_temperature_undoes_overconfidence():
    assert contract_of(20_000, 3.0).temperature == pytest.approx(3.0, rel=0.05)


def test_without_mistakes_the_temperature_is_one_and_says_so():
    labels = np.arange(50) % 5
    calibration = calibrate(labels, softmax(np.eye(5)[labels] * 9))
    assert calibration.temperature == 1
    assert "too few" in calibration.note


def test_what_validation_cannot_support_makes_everything_unsure():
    labels = np.arange(20) % 5
    calibration = calibrate(labels, softmax(np.eye(5)[labels] * 9))
    assert calibration.threshold(0.8) == 0
    assert calibration.threshold(0.99) == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("count", [100, 1000])
def test_the_stated_accuracy_is_missed_in_no_more_than_one_of_twenty_validation_sets(count):
    """The hardest case: at every threshold the accuracy is a little less than what is stated, so none may pass."""
    stated, rounds, rng = 0.9, 1500, np.random.default_rng(3)
    passed = best_of_all = 0
    for _ in range(rounds):
        confidence = rng.uniform(0.5, 1, count)
        right = (rng.random(count) < stated - 1e-3).astype(int)
        probabilities = np.stack([1 - confidence, confidence], 1)
        calibration = calibrate(right, probabilities)
        passed += calibration.threshold(stated) < np.inf
        best_of_all += any(_proven(right, answered, stated) for _, answered, right in calibration.confidence)
    assert passed / rounds <= 0.05 + 2 * (0.05 * 0.95 / rounds) ** 0.5
    assert best_of_all / rounds > 0.1  # what the fixed order is for


@pytest.mark.parametrize("count", [60, 200, 5000])
def test_thresholds_are_found_where_the_surest_half_is_right(count):
    confidence = np.linspace(0.5, 1, count)
    right = (confidence > 0.7) | (np.arange(count) % 2 == 0)
    calibration = calibrate(right.astype(int), np.stack([1 - confidence, confidence], 1))
    assert calibration.threshold(0.9) < 1
    corrected_all_right = calibration.confidence[-1][2] == count
    assert not corrected_all_right
    assert calibration.threshold(0.9) > 0


def test_whitened_statistics_have_a_covariance_of_one():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 4)) @ rng.normal(size=(4, 4)) + 5
    whitened = (values - values.mean(0)) @ _whitening(values)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(4), atol=0.02)
    constant = np.ones((50, 3))
    assert np.isfinite(_whitening(constant)).all()
