"""What probabilities and labels are worth."""

from dataclasses import replace

import numpy as np
import pytest
from evidence import NAMES, one

from tenfold.findings import Evidence, trust
from tenfold.runs.metrics import with_temperature
from tenfold.runs.predictions import Predictions


def calibrated(n=4000, temperature=1.0, seed=0):
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(n, 5))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return Predictions([str(k) for k in range(n)], labels, with_temperature(honest, temperature), NAMES)


@pytest.mark.parametrize(
    ("temperature", "word"), [(1.0, "fits"), (0.4, "overconfident"), (3.0, "underconfident")]
)
def test_calibration_names_the_direction_only_beyond_the_noise(temperature, word):
    evidence = Evidence(
        predictions=calibrated(temperature=temperature),
        validation_predictions=calibrated(temperature=temperature, seed=1),
    )
    found = one(trust.calibration, evidence)
    assert word in found.sentence
    assert found.numbers["temperature"] == pytest.approx(1 / temperature, rel=0.1)
    assert found.numbers["scaled_error"] < 0.03


@pytest.mark.parametrize(
    ("mistakes", "reason"),
    [
        (0, "Validation has no mistake to fit a temperature on."),
        (1, "Validation, with 1 mistake, has too few of them to fit a temperature on."),
        (3, "Validation, with 3 mistakes, has too few of them to fit a temperature on."),
    ],
)
def test_calibration_says_where_there_was_nothing_to_fit_a_temperature_on(mistakes, reason):
    tested, held_out = calibrated(), calibrated(n=200, seed=1)
    labels = held_out.predicted.copy()
    labels[:mistakes] = (labels[:mistakes] + 1) % 5
    evidence = Evidence(predictions=tested, validation_predictions=replace(held_out, labels=labels))
    found = one(trust.calibration, evidence)
    assert found.sentence.endswith(f". {reason}")
    assert "corrected" not in found.sentence
    assert found.numbers["validation_mistakes"] == mistakes


def test_calibration_says_where_no_temperature_is_best():
    tested, held_out = calibrated(), calibrated(n=200, seed=1)
    backwards = replace(held_out, labels=held_out.probabilities.argmin(axis=1))
    found = one(trust.calibration, Evidence(predictions=tested, validation_predictions=backwards))
    assert found.sentence.endswith(". No temperature between 0.05 and 20 fits the validation images best.")
    assert found.numbers["validation_mistakes"] == 200


def test_without_validation_predictions_calibration_says_nothing_of_temperatures():
    assert "emperature" not in one(trust.calibration, Evidence(predictions=calibrated())).sentence


def test_wrong_labels_are_suspected_first():
    random = np.random.default_rng(0)
    true = random.integers(0, 5, 2000)
    probabilities = np.full((2000, 5), 0.02)
    probabilities[np.arange(2000), true] = 0.92
    labels = true.copy()
    spoilt = random.choice(2000, 40, replace=False)
    labels[spoilt] = (labels[spoilt] + 1) % 5
    assert set(trust.label_suspects(labels, probabilities).tolist()) == set(spoilt.tolist())


def test_balance():
    level = Evidence(counts={"train": {"a": 100, "b": 100}})
    assert "balanced (100 images each)" in one(trust.balance, level).sentence
    tilted = Evidence(counts={"train": {"a": 1000, "b": 100}})
    assert "not balanced: 1,000 images of a, 100 of b" in one(trust.balance, tilted).sentence


def test_robustness_names_the_worst_corruption():
    saved = {
        "clean": 0.9,
        "images": 100,
        "accuracy": {"noise": [0.8, 0.7, 0.5, 0.3, 0.2], "blur": [0.9, 0.8, 0.8, 0.7, 0.6]},
    }
    assert (
        "noise costs most: accuracy falls from 90.0% to 50.0%"
        in one(trust.robustness, Evidence(robustness=saved)).sentence
    )
