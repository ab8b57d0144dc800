"""The contract keeps every number, refuses what it does not know, and says what validation supports."""

import numpy as np
import pytest
from contracts import NAMES, contract_of, drawn
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from small import edit_json

from tenfold.core.errors import InputError
from tenfold.inference.contract import Contract, _proven, read_contract
from tenfold.inference.predictor import softmax


def test_a_contract_comes_back_from_its_file_as_it_was(tmp_path):
    contract = contract_of()
    contract.write(tmp_path)
    assert read_contract(tmp_path) == contract
    bare = Contract(NAMES, (1, 8, 8))
    bare.write(tmp_path)
    assert read_contract(tmp_path) == bare
    assert bare.temperature == 1
    assert bare.target.channels == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.update(version=99), "version 99"),
        (lambda saved: saved["reading"].update(version=7), "reading 7"),
        (lambda saved: saved.pop("class_names"), "class_names"),
        (lambda saved: saved.update(version="1"), "version"),
        (lambda saved: saved.update(class_names=[1, 2]), "class_names.0"),
        (lambda saved: saved.update(image=[8, 8]), "image"),
        (lambda saved: saved.update(image=[1, 0, 8]), "expected positive numbers"),
        (lambda saved: saved["familiarity"]["whitening"].pop(), "square whitening"),
        (lambda saved: saved["calibration"].update(temperature="hot"), "calibration.temperature"),
        (lambda saved: saved["calibration"].update(temperature=0.0), "expected positive numbers"),
    ],
)
def test_a_contract_that_is_not_known_is_refused(tmp_path, change, message):
    contract_of().write(tmp_path)
    edit_json(tmp_path / "inference.json", lambda saved: (change(saved), saved)[1])
    with pytest.raises(InputError, match=message):
        read_contract(tmp_path)


def test_a_missing_or_damaged_contract_names_the_remedy(tmp_path):
    with pytest.raises(InputError, match="tenfold evaluate"):
        read_contract(tmp_path)
    (tmp_path / "inference.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="tenfold evaluate"):
        read_contract(tmp_path)


def test_the_sure_ones_reach_the_stated_accuracy_on_new_images():
    contract = contract_of(5000)
    labels, logits = drawn(50_000, 3.0, seed=9)
    corrected = softmax(logits, contract.temperature)
    for accuracy in (0.7, 0.8, 0.9):
        sure = corrected.max(1) >= contract.threshold(accuracy)
        assert sure.mean() > 0.05
        assert (corrected.argmax(1) == labels)[sure].mean() >= accuracy


@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_test_of_an_accuracy_is_scipys(answered, mistakes, accuracy):
    mistakes = min(mistakes, answered)
    expected = binom.cdf(mistakes, answered, 1 - accuracy) <= 0.05
    assert _proven(answered - mistakes, answered, accuracy) == expected


def test_sets_of_classes_cover_what_they_state_on_new_images():
    contract = contract_of(5000)
    labels, logits = drawn(50_000, 3.0, seed=9)
    corrected = softmax(logits, contract.temperature)
    for coverage in (0.8, 0.9, 0.985):
        sets = corrected >= contract.least_probability(coverage)
        assert sets[np.arange(len(labels)), labels].mean() >= coverage - 0.012


def test_a_coverage_beyond_the_validation_images_is_refused():
    with pytest.raises(InputError, match="support at most"):
        contract_of(30).least_probability(0.99)
    with pytest.raises(InputError, match="tenfold evaluate"):
        Contract(NAMES, (3, 8, 8)).least_probability(0.9)
    for wrong in (0.0, 1.0, 95.0):
        with pytest.raises(InputError, match="between 0 and 1"):
            contract_of().least_probability(wrong)
        with pytest.raises(InputError, match="between 0 and 1"):
            contract_of().threshold(wrong)


def test_pixels_are_those_of_training(tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    contract = Contract(NAMES, (3, 8, 8))
    for encoded in (str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), pixels):
        np.testing.assert_array_equal(contract.pixels(encoded), pixels)
    assert Contract(NAMES, (1, 4, 6)).pixels(pixels).shape == (4, 6, 1)
