from dataclasses import replace

import numpy as np
import pytest
from constructed import digits_run
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import NOTEBOOK_01, NOTEBOOK_03

from tenfold.findings import Evidence, advice, answers, find, gather, training, trust
from tenfold.findings.base import called, listed, short
from tenfold.findings.picks import picks
from tenfold.recipe import load_recipe
from tenfold.runs.metrics import measure, with_temperature
from tenfold.runs.predictions import Predictions

NAMES = tuple("abcde")


def history(validation_loss, loss=None, rate=0.01, accuracies=(0.9, 0.7)):
    loss = loss or [2 / epoch for epoch in range(1, len(validation_loss) + 1)]
    return [
        {
            "epoch": epoch,
            "loss": loss[epoch - 1],
            "accuracy": accuracies[0],
            "validation_loss": value,
            "validation_accuracy": accuracies[1],
            "learning_rate": rate,
        }
        for epoch, value in enumerate(validation_loss, 1)
    ]


def evidence_of(matrix, **more):
    """Evidence whose test answers have exactly this confusion matrix, with a confidence of 0.8 each."""
    matrix = np.array(matrix)
    names = NAMES[: len(matrix)]
    labels = np.repeat(np.arange(len(matrix)), matrix.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(len(matrix)), row) for row in matrix])
    probabilities = np.full((len(labels), len(names)), 0.2 / (len(names) - 1), np.float32)
    probabilities[np.arange(len(labels)), predicted] = 0.8
    return Evidence(
        test=measure(labels, probabilities, names),
        predictions=Predictions([str(n) for n in range(len(labels))], labels, probabilities, names),
        class_names=names,
        **more,
    )


def even(recalls, images=1000):
    """A confusion matrix with these recalls and mistakes spread evenly."""
    classes = len(recalls)
    matrix = np.zeros((classes, classes), int)
    for k, recall in enumerate(recalls):
        wrong = round(images * (1 - recall)) // (classes - 1)
        matrix[k] = wrong
        matrix[k, k] = images - wrong * (classes - 1)
    return matrix


def one(rule, evidence):
    found = list(rule(evidence))
    assert len(found) == 1
    return found[0]


# The notebooks' own logs ---------------------------------------------------------------------------------------


def test_the_logs_are_complete():
    assert len(NOTEBOOK_01) == 17
    assert len(NOTEBOOK_03) == 30
    assert [record["epoch"] for record in NOTEBOOK_01 if record["loss"] is None] == [1, 14]
    assert all(record["loss"] is not None for record in NOTEBOOK_03)


def test_notebook_01_best_stop_and_overfitting():
    recipe = load_recipe("model-s-baseline")
    reason = "validation_loss did not improve for 6 epochs"
    evidence = Evidence(history=NOTEBOOK_01, recipe=recipe, training={"stop_reason": reason})
    best = one(training.best_and_restored, evidence)
    assert best.numbers["best_epoch"] == 11
    assert "Epoch 11 was the best of 17 by validation loss (0.916)" in best.sentence
    stopped = one(training.why_stopped, evidence)
    assert stopped.numbers == {"epochs": 17, "planned": 30, "best_epoch": 11}
    assert (
        "stopped after epoch 17, before the limit of 30: validation loss did not improve for 6"
        in stopped.sentence
    )
    over = one(training.overfitting, evidence)
    assert over.numbers["epoch"] == 7
    assert over.sentence.startswith("The model overfits from about epoch 7")
    assert training.learning_rate_drops(NOTEBOOK_01) == [10, 14]


def test_notebook_03_best_and_learning_rate():
    evidence = Evidence(history=NOTEBOOK_03, training={"best_epoch": 29, "stop_reason": "all 30 epochs done"})
    assert one(training.best_and_restored, evidence).numbers["best_epoch"] == 29
    drops = one(training.rate_drops, evidence)
    assert drops.numbers["epochs"] == [23]
    assert "after epoch 23 from 0.001 to 0.0001 (validation loss went from 0.764 to 0.603)" in drops.sentence
    assert list(training.overfitting(evidence)) == []
    recipe = load_recipe("model-s-baseline", ["fit.epochs=30"])
    evidence = Evidence(history=NOTEBOOK_03, recipe=recipe, training={"best_epoch": 29})
    assert "may not have finished learning" in one(training.why_stopped, evidence).sentence
    assert one(advice.more_epochs, evidence).command.endswith("fit.epochs=60")


# Training ------------------------------------------------------------------------------------------------------


def test_a_validation_loss_that_keeps_falling_is_no_overfitting():
    assert training.overfitting_epoch(history([2.0, 1.5, 1.2, 1.0, 0.9, 0.8])) is None


def test_a_validation_loss_that_stands_still_with_the_training_loss_is_no_overfitting():
    assert (
        training.overfitting_epoch(history([1.0, 0.9, 0.9, 0.9, 0.9], loss=[1.0, 0.9, 0.9, 0.9, 0.9])) is None
    )


def test_levelling_off_is_not_called_overfitting():
    found = one(training.overfitting, Evidence(history=history([1.0, 0.5, 0.5, 0.5, 0.5])))
    assert found.sentence.startswith("Learning levelled off at about epoch 2")


@pytest.mark.parametrize("epochs", [4, 12])
def test_a_rate_that_falls_with_every_epoch_has_no_drops(epochs):
    records = [{**record, "learning_rate": 0.5**n} for n, record in enumerate(history([1.0] * epochs))]
    assert training.learning_rate_drops(records) == []


def test_an_accuracy_monitor_takes_the_highest():
    records = history([1.0, 0.5, 0.9])
    records[2]["validation_accuracy"] = 0.8
    assert training.best_epoch(records, "validation_accuracy") == 3
    assert training.best_epoch(records, "validation_loss") == 2


def test_training_figures_of_the_hardest_images_are_not_held_against_validation():
    recipe = load_recipe("fast-86", ["fit.hardest=[1.0, 0.5]", "fit.epochs=5"])
    losses = [1.0, 0.9, 0.95, 0.96, 0.97]
    told = {"history": history(losses), "training": {"best_epoch": 2}, "recipe": recipe}
    evidence, whole = (
        Evidence(**told),
        Evidence(**{**told, "recipe": load_recipe(recipe, {"fit.hardest": [1.0]})}),
    )
    assert (
        "only from the 50% of the training images that were hardest" in one(training.gap, evidence).sentence
    )
    assert list(training.overfitting(evidence)) == []
    assert list(training.overfitting(whole)) != []
    assert advice._gap(evidence) is None
    assert advice._gap(whole) == pytest.approx(0.2)


def test_a_small_gap_is_within_the_noise_of_few_validation_images():
    seen = {"a": 500, "b": 500}
    few = Evidence(history=history([1.0]), counts={"train": seen, "validation": {"a": 3, "b": 3}})
    assert "may be chance" in one(training.gap, few).sentence
    many = Evidence(history=history([1.0]), counts={"train": seen, "validation": {"a": 5000, "b": 5000}})
    assert "a gap of 20.0 points" in one(training.gap, many).sentence
    sampled = replace(many, recipe=load_recipe("digits", {"stop.sample": 6}))
    assert "may be chance" in one(training.gap, sampled).sentence


def test_a_model_that_was_still_rising_is_not_called_too_small():
    recipe = load_recipe("model-s-baseline", ["fit.epochs=5"])
    rising = Evidence(
        history=history([1.5, 1.3, 1.2, 1.1, 1.0], accuracies=(0.55, 0.54)),
        training={"best_epoch": 5},
        recipe=recipe,
    )
    assert list(advice.larger_model(rising)) == []
    assert one(advice.more_epochs, rising).command.endswith("fit.epochs=10")
    settled = replace(
        rising,
        history=history([1.5, 1.0, 1.1, 1.1, 1.1], accuracies=(0.55, 0.54)),
        training={"best_epoch": 2},
    )
    assert "likely too small" in one(advice.larger_model, settled).sentence
    for record, accuracy in zip(settled.history, (0.50, 0.51, 0.52, 0.53, 0.54), strict=True):
        record["validation_accuracy"] = accuracy
    assert list(advice.larger_model(settled)) == [], "the loss is past its best, the accuracy still rises"


def test_a_backbone_is_named_where_few_images_were_learned_from_scratch():
    told = Evidence(
        counts={"train": {"a": 900, "b": 900}},
        validation={"accuracy": 0.7},
        recipe=load_recipe("fast-90"),
        command="tenfold train runs/x/recipe.toml --data 'my photos'",
    )
    assert one(advice.pretrained_backbone, told).command == "tenfold train backbone --data 'my photos'"
    for other in (
        replace(told, recipe=load_recipe("backbone")),
        replace(told, validation={"accuracy": 0.99}),
        replace(told, counts={"train": {"a": 40_000}}),
    ):
        assert list(advice.pretrained_backbone(other)) == []


def test_a_strength_at_the_edge_of_its_path_is_said_with_a_wider_path():
    recipe = load_recipe("backbone", {"model.strengths": [0.1, 0.01, 0.001]})
    told = Evidence(recipe=recipe, training={"best_epoch": 3})
    found = one(advice.strength_at_the_edge, told)
    assert "0.001, is the weakest that was tried" in found.sentence
    wider = load_recipe(recipe, [found.numbers["override"]]).model.options["strengths"]
    assert wider[:3] == (0.1, 0.01, 0.001)
    assert min(wider) == pytest.approx(1e-5)
    strongest = one(advice.strength_at_the_edge, replace(told, training={"best_epoch": 1}))
    assert max(
        load_recipe(recipe, [strongest.numbers["override"]]).model.options["strengths"]
    ) == pytest.approx(10)
    assert list(advice.strength_at_the_edge(replace(told, training={"best_epoch": 2}))) == []
    assert list(advice.strength_at_the_edge(replace(told, recipe=load_recipe("fine-tune")))) == []


# Test metrics --------------------------------------------------------------------------------------------------


def test_classes_apart_differ_from_the_others_by_more_than_chance():
    found = list(answers.classes_apart(evidence_of(even([0.64, 0.8, 0.8, 0.8, 0.95]))))
    assert list(found[0].numbers["recall"]) == ["a"]
    assert list(found[1].numbers["recall"]) == ["e"]
    assert found[2].numbers["within"] == 3
    few = list(answers.classes_apart(evidence_of(even([0.7, 0.8, 0.8, 0.8, 0.85], images=20))))
    assert [finding.sentence.startswith("No class is clearly better or worse") for finding in few] == [True]


def test_a_class_without_test_images_is_not_counted_among_the_others():
    matrix = even([0.8] * 5)
    matrix[4] = 0
    assert one(answers.classes_apart, evidence_of(matrix)).numbers["within"] == 4


def test_one_image_a_class_tells_no_class_from_the_others():
    matrix = np.eye(5, dtype=int)
    matrix[0] = [0, 1, 0, 0, 0]
    assert list(answers.classes_apart(evidence_of(matrix))) == []


def test_confused_pairs_are_found_with_their_direction():
    matrix = even([0.8] * 5)
    matrix[0, 0] -= 100
    matrix[0, 1] += 100
    found = one(answers.confused_pairs, evidence_of(matrix))
    assert found.numbers["pair"] == ["a", "b"]
    assert "mostly in the first direction" in found.sentence
    matrix[1, 1] -= 98
    matrix[1, 0] += 98
    assert "no clear direction" in one(answers.confused_pairs, evidence_of(matrix)).sentence


def test_evenly_spread_mistakes_make_no_pair():
    assert "No pair" in one(answers.confused_pairs, evidence_of(even([0.8] * 5))).sentence


def test_the_images_of_a_pair_are_its_mistakes():
    matrix = even([0.8] * 5)
    matrix[2, 2] -= 90
    matrix[2, 4] += 90
    evidence = evidence_of(matrix)
    found = one(answers.confused_pairs, evidence)
    shown = list(found.images)
    assert {(evidence.predictions.labels[n], evidence.predictions.predicted[n]) for n in shown} == {
        (2, 4),
        (4, 2),
    }


def test_false_positive_rates_above_the_average():
    matrix = even([0.8] * 5)
    matrix[:, 3] += 60
    found = one(answers.false_positives, evidence_of(matrix))
    assert list(found.numbers["rates"]) == ["d"]
    assert list(answers.false_positives(evidence_of(even([0.8] * 5)))) == []


def test_test_and_validation_within_the_noise():
    test, far, near = (evidence_of(even([recall] * 5)).test for recall in (0.80, 0.70, 0.79))
    close = one(answers.validation_and_test, Evidence(test=test, validation=near))
    assert "may be chance" in close.sentence
    apart = one(answers.validation_and_test, Evidence(test=test, validation=far))
    assert "more than chance explains" in apart.sentence


def test_an_accuracy_no_better_than_guessing_says_so():
    found = one(answers.accuracy, evidence_of(even([0.2] * 5, images=20)))
    assert "does not show that the model is better than that" in found.sentence


# Trust ---------------------------------------------------------------------------------------------------------


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


def test_picks_are_the_surest_mistakes_and_the_least_certain():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4], [0.51, 0.49]])
    chosen = picks(np.array([1, 0, 1, 0]), probabilities, 2)
    assert chosen["mistakes"] == [0, 2]
    assert chosen["uncertain"] == [3, 2]


# All together --------------------------------------------------------------------------------------------------


def test_every_finding_of_a_real_run_has_evidence(tmp_path):
    found = find(gather(digits_run(tmp_path / "run")))
    assert {"accuracy", "best_and_restored", "balance", "calibration", "another_seed"} <= {
        f.rule for f in found
    }
    for finding in found:
        assert finding.numbers, finding.rule
        assert finding.sentence.endswith("."), finding.sentence
        assert "nan" not in finding.sentence


def test_missing_evidence_finds_nothing():
    assert find(Evidence()) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 60))
def test_the_rules_hold_for_any_predictions(seed, classes, n):
    random = np.random.default_rng(seed)
    names = NAMES[:classes]
    probabilities = random.dirichlet(np.ones(classes), n).astype(np.float32)
    labels = random.integers(0, classes, n)
    answers = Predictions([str(k) for k in range(n)], labels, probabilities, names)
    test = measure(labels, probabilities, names)
    evidence = Evidence(
        history=history([1.0, 0.9]),
        test=test,
        validation=test,
        predictions=answers,
        validation_predictions=answers,
    )
    for finding in find(evidence):
        assert "nan" not in finding.sentence
        assert all(0 <= image < n for image in finding.images)


@given(st.text(max_size=60))
def test_short_names_are_one_short_line(name):
    assert 0 < len(short(name)) <= 18
    assert "\n" not in short(name)


def test_names_that_are_numbers_are_called_classes():
    assert called("7") == "class 7"
    assert called("cat") == "cat"


def test_listed():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_copies_are_in_the_verdict_with_the_accuracy_on_the_rest():
    """8 of 10 right; the four copies are among the right ones, so 4 of 6 on the rest."""
    (found,) = answers.copies(evidence_of([[4, 1], [1, 4]], copies=(0, 1, 6, 7)))
    assert found.section == "verdict"
    assert found.numbers["accuracy"] == pytest.approx(4 / 6)
    assert "4 of 10 test images are also training or validation images" in found.sentence
    assert "on the other 6 it is 66.7%" in found.sentence


def test_only_copies_say_nothing():
    (found,) = answers.copies(evidence_of([[1, 0], [0, 1]], copies=(0, 1)))
    assert found.sentence.endswith("says nothing about other images.")
    assert not list(answers.copies(evidence_of([[1, 0], [0, 1]])))


def test_groups_that_training_has_too_are_in_the_verdict():
    (found,) = answers.shared_groups(evidence_of([[4, 1], [1, 4]], shared=(0, 1, 6, 7)))
    assert (
        "4 of 10 test images are of groups that training or validation has images of as well"
        in found.sentence
    )
    assert "on the other 6 it is 66.7%" in found.sentence
    assert found.section == "verdict"


def test_the_accuracy_says_how_many_groups_it_is_of():
    evidence = evidence_of([[4, 1], [1, 4]])
    (plain,) = answers.accuracy(evidence)
    (grouped,) = answers.accuracy(replace(evidence, test={**evidence.test, "groups": 5}))
    assert "80.0% of 10 test images are" in plain.sentence
    assert "80.0% of 10 test images of 5 groups are classified correctly" in grouped.sentence
    assert "by resampling whole groups" in grouped.sentence
    assert grouped.numbers["groups"] == 5


def test_classes_that_a_split_lacks_are_in_the_verdict():
    counts = {"validation": {"a": 3, "b": 3}, "test": {"a": 5, "b": 0}}
    (found,) = answers.missing_classes(Evidence(counts=counts))
    assert found.section == "verdict"
    assert found.sentence == "The test images lack b: nothing is known of it there."
    assert not list(answers.missing_classes(Evidence(counts={"test": {"a": 1, "b": 1}})))


def test_nothing_is_said_of_classes_that_few_images_judge():
    """Class a has one test image, which is wrong; b has three. The others are judged by 60 each."""
    matrix = even([0.9] * 5, images=60)
    matrix[0], matrix[1] = [0, 0, 1, 0, 0], [0, 0, 3, 0, 0]
    evidence = evidence_of(matrix)
    (found,) = answers.few_judges(evidence)
    assert found.section == "verdict"
    assert found.numbers["images"] == {"a": 1, "b": 3}
    assert "fewer than 5 test images judge: a (1) and b (3)." in found.sentence
    (said,) = answers.classes_apart(evidence)
    assert said.sentence.startswith("No class with enough test images is clearly better or worse")
    assert not [
        pair for pair in answers.confused_pairs(evidence) if {"a", "b"} & {*pair.numbers.get("pair", ())}
    ]
    auc = " ".join(finding.sentence for finding in answers.areas_under_roc(evidence))
    assert "a (" not in auc
    assert not list(answers.few_judges(evidence_of(even([0.9] * 5, images=20))))


def test_a_cross_validation_is_said_with_the_spread_of_its_folds():
    folds = [{"fold": k, "n": 50, "accuracy": share} for k, share in ((1, 0.8), (2, 0.9))]
    counts = {"train": {"a": 45, "b": 45}, "validation": {"a": 5, "b": 5}, "test": {"a": 50, "b": 50}}
    evidence = evidence_of([[42, 8], [7, 43]], folds=folds, counts=counts)
    (found,) = answers.cross_validation(evidence)
    assert (
        "by one of 2 models that learned from the others; single folds reach 80.0% to 90.0%" in found.sentence
    )
    assert "learned from 90 images, 10 others chose its epoch" in found.sentence
    (first,) = answers.accuracy(evidence)
    assert "100 images are classified correctly by models that had not seen them" in first.sentence
    assert not list(answers.validation_and_test(replace(evidence, validation=evidence.test)))
    assert not list(answers.cross_validation(evidence_of([[4, 1], [1, 4]])))
