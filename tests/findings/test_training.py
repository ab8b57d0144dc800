"""What is found in a history; the notebooks' own logs first."""

from dataclasses import replace

import pytest
from evidence import history, one
from logged import NOTEBOOK_01, NOTEBOOK_03

from tenfold.findings import Evidence, advice, training
from tenfold.recipe import load_recipe


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
    assert training.overfits_from(NOTEBOOK_01) == 7
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


def test_a_validation_loss_that_keeps_falling_is_no_overfitting():
    assert training.overfitting_epoch(history([2.0, 1.5, 1.2, 1.0, 0.9, 0.8])) is None


def test_a_validation_loss_that_stands_still_with_the_training_loss_is_no_overfitting():
    assert (
        training.overfitting_epoch(history([1.0, 0.9, 0.9, 0.9, 0.9], loss=[1.0, 0.9, 0.9, 0.9, 0.9])) is None
    )


def test_levelling_off_is_not_called_overfitting():
    found = one(training.overfitting, Evidence(history=history([1.0, 0.5, 0.5, 0.5, 0.5])))
    assert found.sentence.startswith("Learning levelled off at about epoch 2")
    assert training.overfits_from(history([1.0, 0.5, 0.5, 0.5, 0.5])) is None, (
        "nor is it shaded in the figure"
    )


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
