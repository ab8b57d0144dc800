import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from sklearn import metrics as sk

from tenfold.core.errors import InputError
from tenfold.runs import metrics


def predictions(n, classes, seed=0, sharpness=2.0):
    """Labels and probabilities of a classifier that is right rather often."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    logits = random.normal(size=(n, classes)) + sharpness * np.eye(classes)[labels]
    exp = np.exp(logits)
    return labels, exp / exp.sum(axis=1, keepdims=True)


def test_measure_equals_scikit_learn():
    labels, probabilities = predictions(500, 5)
    names = list("abcde")
    got = metrics.measure(labels, probabilities, names)
    predicted = probabilities.argmax(axis=1)
    assert got["n"] == 500
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert got["loss"] == pytest.approx(sk.log_loss(labels, probabilities))
    for average in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(labels, predicted, average=average)
        assert [got[f"{name}_{average}"] for name in ("precision", "recall", "f1")] == pytest.approx(
            expected[:3]
        )
    assert got["roc_auc_macro"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert got["confusion_matrix"] == sk.confusion_matrix(labels, predicted).tolist()
    precision, recall, f1, support = sk.precision_recall_fscore_support(labels, predicted)
    for k, name in enumerate(names):
        entry = got["per_class"][name]
        expected = (precision[k], recall[k], f1[k], support[k])
        assert tuple(entry[key] for key in ("precision", "recall", "f1", "support")) == pytest.approx(
            expected
        )
        false = ((predicted == k) & (labels != k)).sum() / (labels != k).sum()
        assert entry["false_positive_rate"] == pytest.approx(false)
        assert entry["roc_auc"] == pytest.approx(sk.roc_auc_score(labels == k, probabilities[:, k]))
    json.dumps(got, allow_nan=False)


def test_absent_classes_have_no_recall_and_keep_scikit_learns_averages():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(4)[[0, 2, 1, 1]]
    got = metrics.measure(labels, probabilities, ["a", "b", "predicted only", "unused"])
    absent = got["per_class"]["predicted only"]
    assert (absent["recall"], absent["roc_auc"], absent["precision"], absent["f1"]) == (None, None, 0.0, 0.0)
    unused = got["per_class"]["unused"]
    assert (unused["precision"], unused["recall"], unused["f1"], unused["support"]) == (None, None, None, 0)
    predicted = probabilities.argmax(axis=1)
    expected = sk.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)[:3]
    assert [got["precision_macro"], got["recall_macro"], got["f1_macro"]] == pytest.approx(expected)
    json.dumps(got, allow_nan=False)


def test_a_single_class_in_the_labels_leaves_auc_undefined():
    got = metrics.measure(np.zeros(3, int), np.full((3, 2), 0.5), ["a", "b"])
    assert got["roc_auc_macro"] is None


def test_intervals_of_averages_agree_with_the_plain_bootstrap_over_images():
    labels, probabilities = predictions(400, 4, seed=3)
    predicted = probabilities.argmax(axis=1)
    random = np.random.default_rng(1)
    scores = []
    for _ in range(600):
        rows = random.integers(0, len(labels), len(labels))
        scores.append(sk.f1_score(labels[rows], predicted[rows], average="macro"))
    plain = np.percentile(scores, [2.5, 97.5], axis=0)
    got = metrics.measure(labels, probabilities, list("abcd"))
    assert got["f1_macro_ci95"] == pytest.approx(plain, abs=0.01)
    for name in ("precision", "recall", "f1"):
        for average in ("macro", "weighted"):
            low, high = got[f"{name}_{average}_ci95"]
            assert low < got[f"{name}_{average}"] < high
    assert got["recall_weighted_ci95"] == got["accuracy_ci95"]


def test_intervals_of_proportions_are_exact():
    labels, probabilities = predictions(60, 3, seed=2)
    predicted = probabilities.argmax(axis=1)
    got = metrics.measure(labels, probabilities, list("abc"))
    hits = binomtest(int((labels == predicted).sum()), 60).proportion_ci(0.95, method="exact")
    assert got["accuracy_ci95"] == pytest.approx([hits.low, hits.high])
    both, either = ((labels == 1) & (predicted == 1)).sum(), ((labels == 1) | (predicted == 1)).sum()
    ends = binomtest(int(both), int(either)).proportion_ci(0.95, method="exact")
    expected = [2 * ends.low / (1 + ends.low), 2 * ends.high / (1 + ends.high)]
    assert got["per_class"]["b"]["f1_ci95"] == pytest.approx(expected)


def test_the_bootstrap_depends_on_the_seed_only():
    labels, probabilities = predictions(200, 3)
    first, again, other = (metrics.measure(labels, probabilities, "abc", seed) for seed in (0, 0, 1))
    assert first == again
    assert first["f1_macro_ci95"] != other["f1_macro_ci95"]
    assert first["accuracy_ci95"] == other["accuracy_ci95"]


def test_groups_that_are_right_or_wrong_as_a_whole_count_as_one_trial_each():
    """20 groups of 10 images, 15 of them wholly right: the interval is that of 20 images, not of 200."""
    labels = np.tile([0, 1], 100)
    right = np.repeat(np.arange(20) < 15, 10)
    probabilities = np.eye(2)[np.where(right, labels, 1 - labels)] * 0.8 + 0.1
    groups = np.repeat(np.arange(20), 10)
    alone, grouped = (
        metrics.measure(labels, probabilities, ["a", "b"], groups=each) for each in (None, groups)
    )
    few = metrics.measure(labels[::10], probabilities[::10], ["a", "b"])
    assert "groups" not in alone
    assert grouped["groups"] == 20
    assert grouped["accuracy"] == alone["accuracy"] == 0.75
    np.testing.assert_allclose(grouped["accuracy_ci95"], few["accuracy_ci95"], atol=0.051)
    width = np.diff(grouped["accuracy_ci95"])[0] / np.diff(alone["accuracy_ci95"])[0]
    assert width == pytest.approx(np.sqrt(10), rel=0.2)
    assert np.diff(grouped["per_class"]["a"]["recall_ci95"])[0] > 0.3
    all_right = metrics.measure(labels, np.eye(2)[labels], ["a", "b"], groups=groups)
    of_20 = [pytest.approx(0.8316, abs=1e-4), 1.0]  # 20 of 20, Clopper-Pearson
    assert all_right["accuracy_ci95"] == of_20
    for score in ("precision", "recall", "f1"):
        of_class = all_right["per_class"]["a"][f"{score}_ci95"]
        assert of_class == ([pytest.approx(2 * 0.8316 / 1.8316, abs=1e-4), 1.0] if score == "f1" else of_20)


def test_images_that_are_groups_of_their_own_have_the_same_intervals_up_to_chance():
    generator = np.random.default_rng(0)
    labels, probabilities = generator.integers(0, 3, 600), generator.dirichlet(np.ones(3), 600)
    plain = metrics.measure(labels, probabilities, "abc")
    alone = metrics.measure(labels, probabilities, "abc", groups=np.full(600, -1))
    for key in ("accuracy_ci95", "f1_macro_ci95", "recall_weighted_ci95"):
        np.testing.assert_allclose(alone[key], plain[key], atol=0.01)
    for key in ("precision_ci95", "recall_ci95", "f1_ci95"):
        np.testing.assert_allclose(alone["per_class"]["a"][key], plain["per_class"]["a"][key], atol=0.02)
    assert {key: alone[key] for key in ("accuracy", "f1_macro")} == {
        key: plain[key] for key in ("accuracy", "f1_macro")
    }


def test_a_perfect_score_still_has_an_uncertain_lower_end():
    labels = np.arange(20) % 2
    got = metrics.measure(labels, np.eye(2)[labels], ["a", "b"])
    low, high = got["accuracy_ci95"]
    assert low == pytest.approx(sk_lower_bound(20), abs=1e-6)
    assert high == 1.0


def sk_lower_bound(n):
    """The proportion under which n successes in n trials happen in 2.5 % of the cases."""
    return 0.025 ** (1 / n)


def test_ten_thousand_images_are_measured_in_well_under_a_second():
    labels, probabilities = predictions(10_000, 10)
    metrics.measure(labels[:50], probabilities[:50], [str(k) for k in range(10)])
    start = time.process_time()
    metrics.measure(labels, probabilities, [str(k) for k in range(10)])
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (np.zeros(0, int), np.zeros((0, 2)), "no predictions"),
        (np.zeros(2, int), np.zeros((2, 3)), r"expected \(2, 2\)"),
        (np.array([0, 5]), np.full((2, 2), 0.5), "labels run from 0 to 5"),
        (np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.1]]), "not finite"),
    ],
)
def test_what_does_not_fit_together_is_refused(labels, probabilities, message):
    with pytest.raises(InputError, match=message):
        metrics.measure(labels, probabilities, ["a", "b"])


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_exact_interval_is_scipys_and_contains_the_proportion(successes, trials):
    successes = min(successes, trials)
    low, high = metrics.exact_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    expected = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97, 0.995])
@pytest.mark.parametrize("n", [10, 179, 1000])
def test_the_interval_of_an_accuracy_covers_at_least_as_often_as_it_says(n, share):
    right = np.arange(n + 1)
    low, high = metrics.exact_interval(right, n)
    assert binom.pmf(right, n, share)[(low <= share) & (share <= high)].sum() >= 0.95


def test_without_trials_nothing_is_known():
    assert metrics.exact_interval(0, 0) == (0, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.integers(2, 80))
def test_measures_stay_in_their_ranges(seed, classes, n):
    labels, probabilities = predictions(n, classes, seed)
    got = metrics.measure(labels, probabilities, [f"class {k}" for k in range(classes)])
    low, high = got["accuracy_ci95"]
    assert 0 <= low <= got["accuracy"] <= high <= 1
    assert np.sum(got["confusion_matrix"]) == n
    assert 0 <= got["expected_calibration_error"] <= 1
    json.dumps(got, allow_nan=False)


def test_the_order_of_the_images_does_not_matter():
    labels, probabilities = predictions(100, 3)
    order = np.random.default_rng(0).permutation(100)
    one = metrics.measure(labels, probabilities, "abc")
    two = metrics.measure(labels[order], probabilities[order], "abc")
    assert one["accuracy_ci95"] == two["accuracy_ci95"]
    assert one["loss"] == pytest.approx(two["loss"])
    assert one["expected_calibration_error"] == pytest.approx(two["expected_calibration_error"])


def test_calibration_error_of_a_known_case():
    # Ten answers at confidence 0.9, of which six are right: the gap is 0.3.
    probabilities = np.tile([0.9, 0.1], (10, 1))
    labels = np.array([0] * 6 + [1] * 4)
    assert metrics.expected_calibration_error(labels, probabilities) == pytest.approx(0.3)


def test_temperature_scaling_finds_the_temperature_that_spoilt_the_probabilities():
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 4)) * 2
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    overconfident = metrics.with_temperature(honest, 0.5)
    assert metrics.fit_temperature(labels, overconfident) == pytest.approx(2.0, rel=0.05)
    repaired = metrics.with_temperature(overconfident, 2.0)
    assert repaired == pytest.approx(honest)
    before = metrics.expected_calibration_error(labels, overconfident)
    assert metrics.expected_calibration_error(labels, repaired) < before / 3


@pytest.mark.parametrize("mistakes", [0, 1, 9, 10])
def test_a_temperature_is_fitted_on_ten_mistakes_or_not_at_all(mistakes):
    labels = np.arange(1000) % 4
    probabilities = np.full((1000, 4), 0.02)
    probabilities[np.arange(1000), labels] = 0.94
    labels[:mistakes] = (labels[:mistakes] + 1) % 4
    fitted = metrics.fit_temperature(labels, probabilities)
    if mistakes < 10:
        assert fitted is None
    else:
        share = metrics.with_temperature(probabilities[:1], fitted).max()
        assert share == pytest.approx(0.99), "the best confidence is the accuracy where all are equally sure"


def test_no_temperature_where_answers_are_worse_than_guesses_or_nearly_even():
    labels, probabilities = predictions(500, 3)
    assert metrics.fit_temperature(probabilities.argmin(axis=1), probabilities) is None
    assert metrics.fit_temperature(labels, metrics.with_temperature(probabilities, 1000)) is None


def test_accuracy_by_coverage_answers_the_confident_first():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    coverage, accuracy = metrics.accuracy_by_coverage(np.array([1, 0, 1]), probabilities)
    assert coverage == pytest.approx([1 / 3, 2 / 3, 1])
    assert accuracy == pytest.approx([1, 1, 2 / 3])


def test_the_accuracy_of_whole_groups_is_less_certain_than_that_of_as_many_images():
    random = np.random.default_rng(0)
    correct = np.repeat(random.random(40) < 0.7, 10)
    low, high = metrics.accuracy_interval(correct)
    wide = metrics.accuracy_interval(correct, np.repeat(np.arange(40), 10))
    assert wide[1] - wide[0] > 2.5 * (high - low)
    alone = metrics.accuracy_interval(correct, np.full(400, -1))
    assert alone == pytest.approx([low, high], abs=0.01)
    assert metrics.accuracy_interval(correct, np.empty(0, np.int64)) == [low, high]
    whole = metrics.accuracy_interval(correct[:10], np.zeros(10, np.int64))
    assert whole[1] - whole[0] > 0.5
