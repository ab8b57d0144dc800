"""Heads on features: each strength is scikit-learn's logistic regression; what measures features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from frozen import CPU, SMALL, quiet, small_model
from networks import transfer_network
from sklearn.linear_model import LogisticRegression

from tenfold.models import build_model
from tenfold.recipe import load_recipe
from tenfold.runs.folder import Run
from tenfold.training.heads import measure_features
from tenfold.training.loop import fit
from tenfold.training.transfer import on_features


def test_each_strength_is_solved_to_scikit_learns_logistic_regression(few_digits, tmp_path):
    strengths = (0.1, 0.01)
    recipe = load_recipe("backbone", SMALL | {"model.strengths": strengths, "stop.patience": None})
    model = build_model(recipe.model, (1, 8, 8), 10)
    task = on_features(model, few_digits, recipe, CPU, quiet)
    train, validation = task.splits.train, task.splits.validation
    flat = train.images(slice(None)).reshape(len(train), -1).astype(np.float64)
    mean, deviation = flat.mean(0), flat.std(0)
    deviation[deviation**2 <= 1e-8] = 1.0
    asked = (validation.images(slice(None)).reshape(len(validation), -1) - mean) / deviation
    losses = []
    for epoch in fit(task.model, task.splits, task.recipe, Run(tmp_path), method=task.method):
        theirs = LogisticRegression(C=1 / (strengths[epoch.epoch - 1] * len(train)), max_iter=2000, tol=1e-8)
        theirs.fit((flat - mean) / deviation, train.labels)
        probabilities = theirs.predict_proba(asked)
        losses.append(-np.log(probabilities[np.arange(len(asked)), validation.labels]).mean())
        assert epoch.validation_loss == pytest.approx(losses[-1], rel=5e-3)
        assert epoch.validation_accuracy == pytest.approx(theirs.score(asked, validation.labels), abs=0.021)
    assert len(losses) == 2


def test_standardising_leaves_a_feature_that_never_varies_alone(few_digits):
    model = small_model(few_digits)
    head = transfer_network(model).head
    count = transfer_network(model).extractor.feature_shape[0]
    values = np.random.default_rng(0).normal(3, 2, (150, 1, 1, count)).astype(np.float16)
    values[..., 0] = 7
    split = replace(few_digits.train, pixels=values, rows=np.arange(150))
    measure_features(head, split)
    scaled = head[1](torch.from_numpy(values[:, 0, 0].astype(np.float32)))  # pyright: ignore
    assert scaled[:, 0].abs().max() < 1e-6
    torch.testing.assert_close(scaled[:, 1:].mean(0), torch.zeros(count - 1), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled[:, 1:].std(0, correction=0), torch.ones(count - 1), atol=1e-3, rtol=0)
