"""Classes of unequal size where a recipe leaves open what to do: weighed from a ratio on, and said."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import SMALL, draw_pictures

import tenfold
from tenfold.data import Splits
from tenfold.data.feeds import feed
from tenfold.inference.evaluation import predict_split, score
from tenfold.recipe import load_recipe
from tenfold.runs.metrics import averages, confusion_matrix
from tenfold.training.balance import RATIO, balanced, balanced_words, ratio_of
from tenfold.training.begin import new_model
from tenfold.training.learner import Learner

# Enough to learn the digits by half.
LEARNING = ("model.filters=[16]", "model.dense=32", "augment=[]", "fit.epochs=12")
CPU = torch.device("cpu")


def cut(splits: Splits, small: int) -> Splits:
    """The training images of the classes 0 to 4, of which there are 100 each, and `small` ones of the others."""
    labels = splits.train.labels
    kept = [np.flatnonzero(labels == k)[: 100 if k < 5 else small] for k in range(10)]
    return replace(splits, train=splits.train.part(np.sort(np.concatenate(kept))))


def test_heads_weigh_classes_from_the_ratio_on_and_only_where_nothing_else_is_said(digits):
    below, above = cut(digits, 11), cut(digits, 10)
    assert ratio_of(below) < RATIO <= ratio_of(above)
    head = load_recipe("backbone")
    assert balanced(head, below) == head
    assert balanced_words(head, below) == ""
    weighed = balanced(head, above)
    assert weighed.fit.class_weights == "balanced"
    assert balanced_words(weighed, above).startswith(
        "classes of unequal size (1 to 10): fit.class_weights=balanced"
    )
    for said in (
        "fit.class_weights=none",
        "fit.sampler=balanced",
        "fit.logit_adjustment=1",
        "fit.focal_gamma=2",
    ):
        own = load_recipe("backbone", [said])
        assert balanced(own, above) == own
        assert balanced_words(own, above) == ""


def test_networks_learn_as_always_and_what_helps_is_said(digits):
    for recipe in (
        load_recipe("digits"),
        load_recipe("backbone", ["model.head=mlp"]),
        load_recipe("fine-tune"),
    ):
        assert balanced(recipe, cut(digits, 10)) == recipe
        assert "fit.sampler=balanced fit.hardest=[1.0]" in balanced_words(recipe, cut(digits, 10))
    assert load_recipe("fast-72", ["fit.sampler=balanced", "fit.hardest=[1.0]"]).fit.balances


@pytest.mark.slow
@pytest.mark.parametrize("way", ["class_weights=balanced", "sampler=balanced", "logit_adjustment=1"])
def test_small_classes_are_found_more_often(digits, way):
    """Five of ten classes have 4 images: half a training that is told so finds many more of them."""
    splits = cut(digits, 4)
    found = {}
    for said in ("class_weights=none", way):
        recipe = load_recipe("digits", [*LEARNING, f"fit.{said}"])
        learner = Learner(new_model(recipe, splits), splits, recipe)
        while learner.state.stop_reason is None:
            learner.run_epoch()
        learner.restore_best()
        answers = predict_split(learner.model, splits.test, splits.class_names, CPU)
        small = answers.labels >= 5
        found[said] = (answers.predicted == answers.labels)[small].mean()
    assert found[way] > found["class_weights=none"] + 0.1


def test_an_epoch_is_judged_by_what_metrics_of_its_predictions_are(few_digits):
    recipe = load_recipe("digits", [*SMALL, "stop.monitor=f1_macro"])
    learner = Learner(new_model(recipe, few_digits), few_digits, recipe)
    records = [learner.run_epoch() for _ in range(2)]
    answers = predict_split(learner.model, few_digits.validation, few_digits.class_names, CPU)
    expected = averages(confusion_matrix(answers.labels, answers.predicted, 10))
    last = records[-1]
    assert last.validation_f1_macro == pytest.approx(expected["f1_macro"])
    assert last.validation_balanced_accuracy == pytest.approx(expected["recall_macro"])
    best = max(records, key=lambda record: record.validation_f1_macro)
    assert learner.state.best_value == best.validation_f1_macro
    emphasis = [float(k + 1) for k in range(10)]
    plain, weighed = (score(learner.model, feed(few_digits.validation, CPU), e) for e in (None, emphasis))
    each = -np.log(answers.probabilities[np.arange(len(answers)), answers.labels])
    assert plain.loss == pytest.approx(each.mean(), rel=1e-4)
    assert weighed.loss == pytest.approx(np.average(each, weights=answers.labels + 1), rel=1e-4)
    assert weighed.accuracy == plain.accuracy


@pytest.mark.usefixtures("undrawn")
def test_a_run_says_what_was_done_and_its_probabilities_are_for_equal_classes(tmp_path):
    draw_pictures(tmp_path / "p", ("a",), 40)
    draw_pictures(tmp_path / "p", ("b",), 4)
    recipe = ["fit.epochs=1", *SMALL[:3], "fit.logit_adjustment=1"]
    run = tenfold.train(
        "digits", data=tmp_path / "p", overrides=recipe, out=tmp_path / "runs", progress=False
    )
    train = run.data["splits"]["train"]["classes"]
    emphasis = run.contract["calibration"]["emphasis"]
    assert emphasis[1] / emphasis[0] == pytest.approx(train["a"] / train["b"])
    assert "times calibration.emphasis" in run.contract["calibration"]["note"]
    page = run.report.read_text(encoding="utf-8")
    assert "Training made every class count the same." in page
    assert run.predict(tmp_path / "p" / "a" / "00.png").probabilities.shape == (1, 2)
