"""The contract keeps every number, refuses what it does not know, and says what validation supports."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import scene
from scipy.stats import binom
from small import edit_json

from tenfold.core.errors import InputError
from tenfold.inference.calibrate import FALSE_ALARMS, _whitening, calibrate, learn_familiarity
from tenfold.inference.contract import Contract, _proven, read_contract
from tenfold.inference.familiarity import Seen, harmless_changes, pixel_statistics
from tenfold.inference.predictor import softmax

NAMES = ("10", "2", "Ärger", "日本", "a/b")


def drawn(count: int, sharpness: float, seed: int = 0):
    """Labels that are drawn from the softmax of logits, and those logits times `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, len(NAMES))) * 2
    labels = (softmax(logits).cumsum(1) < rng.random((count, 1))).sum(1).clip(max=len(NAMES) - 1)
    return labels, (logits * sharpness).astype(np.float32)


def noise(count: int, seed: int = 0) -> np.ndarray:
    """Gray noise of various strengths: (N, 8, 8, 3) uint8."""
    rng = np.random.default_rng(seed)
    values = 128 + rng.normal(size=(count, 8, 8, 3)) * rng.uniform(5, 25, (count, 1, 1, 1))
    return values.clip(0, 255).astype(np.uint8)


def seen(logits: np.ndarray, seed: int = 0) -> Seen:
    return Seen(logits, pixel_statistics(noise(len(logits), seed)))


def contract_of(count: int = 2000, sharpness: float = 3.0) -> Contract:
    labels, logits = drawn(count, sharpness)
    training, changed = seen(drawn(count, sharpness, 1)[1], 1), pixel_statistics(noise(9, 2))
    return Contract(
        NAMES, (3, 8, 8), "hash", calibration=calibrate(labels, softmax(logits)),
        familiarity=learn_familiarity(training, changed, seen(logits)),
    )  # fmt: skip


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


def test_temperature_undoes_overconfidence():
    assert contract_of(20_000, 3.0).temperature == pytest.approx(3.0, rel=0.05)


def test_without_mistakes_the_temperature_is_one_and_says_so():
    labels = np.arange(50) % 5
    calibration = calibrate(labels, softmax(np.eye(5)[labels] * 9))
    assert calibration.temperature == 1
    assert "too few" in calibration.note


def test_the_sure_ones_reach_the_stated_accuracy_on_new_images():
    contract = contract_of(5000)
    labels, logits = drawn(50_000, 3.0, seed=9)
    corrected = softmax(logits, contract.temperature)
    for accuracy in (0.7, 0.8, 0.9):
        sure = corrected.max(1) >= contract.threshold(accuracy)
        assert sure.mean() > 0.05
        assert (corrected.argmax(1) == labels)[sure].mean() >= accuracy


def test_what_validation_cannot_support_makes_everything_unsure():
    labels = np.arange(20) % 5
    calibration = calibrate(labels, softmax(np.eye(5)[labels] * 9))
    assert calibration.threshold(0.8) == 0
    assert calibration.threshold(0.99) == np.inf


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


def test_familiarity_keeps_its_rate_of_false_alarms_and_sees_flat_logits_and_strange_pixels():
    familiarity = contract_of(5000).familiarity
    assert familiarity is not None
    assert familiarity.false_alarms <= FALSE_ALARMS
    logits = drawn(20_000, 3.0, seed=5)[1]
    assert familiarity.unlike(logits, noise(20_000, 5)).mean() < 2 * FALSE_ALARMS
    assert familiarity.unlike(np.zeros((3, 5), np.float32) - 9, noise(3)).all()
    typical = np.full((500, 5), np.quantile(logits, 0.9), np.float32)
    assert familiarity.unlike(typical, noise(500, 7)).mean() < 2 * FALSE_ALARMS
    for value in (0, 128, 255):
        assert familiarity.unlike(typical[:1], np.full((1, 8, 8, 3), value, np.uint8)).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3), (8, 8, 1), (37, 224, 3)])
def test_pixel_statistics_are_finite_for_every_shape_and_each_image_counts_alone(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    images[0] = 7
    found = pixel_statistics(images)
    assert np.isfinite(found).all()
    alone = [pixel_statistics(image[None])[0] for image in images]
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-5)
    assert (found[0][: shape[2]] == 7).all()
    assert not found[0][shape[2] :].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_harmless_changes_change_the_pixels_and_keep_shape_and_picture(channels):
    images = np.stack([scene(seed, 24)[..., :channels] for seed in range(3)])
    changes = list(harmless_changes(images))
    assert len(changes) == 4
    for changed in changes:
        assert changed.shape == images.shape
        assert changed.dtype == np.uint8
        assert 0 < np.abs(changed.astype(int) - images).mean() < 40
    darker, brighter = changes[2].mean(), changes[3].mean()
    assert darker < images.mean() < brighter


def test_no_pictures_have_no_statistics():
    none = np.empty((0, 8, 8, 3), np.uint8)
    assert pixel_statistics(none).shape == (0, pixel_statistics(noise(1)).shape[1])
    familiarity = contract_of(200).familiarity
    assert familiarity is not None
    assert familiarity.unlike(np.empty((0, 5), np.float32), none).shape == (0,)


def test_whitened_statistics_have_a_covariance_of_one():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 4)) @ rng.normal(size=(4, 4)) + 5
    whitened = (values - values.mean(0)) @ _whitening(values)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(4), atol=0.02)
    constant = np.ones((50, 3))
    assert np.isfinite(_whitening(constant)).all()


def test_pixels_are_those_of_training(tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    contract = Contract(NAMES, (3, 8, 8))
    for encoded in (str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), pixels):
        np.testing.assert_array_equal(contract.pixels(encoded), pixels)
    assert Contract(NAMES, (1, 4, 6)).pixels(pixels).shape == (4, 6, 1)
