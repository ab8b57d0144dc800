"""Candidates are compared image by image, and given up where their end would come too late."""

from time import perf_counter
from typing import Any, cast

import numpy as np
import pytest
import torch

from tenfold.data import Source, read_splits
from tenfold.recipe import load_recipe
from tenfold.training import feature_cache
from tenfold.workbench.candidates import Candidate, compare, learn

CPU = torch.device("cpu")


SMALL = {"model.backbone": "test_efficientnet", "model.weights": "none", "model.image_size": 32}


def silent(done: int, total: int) -> None:
    """A note of progress that nobody reads."""


def candidate(right: np.ndarray, losses: np.ndarray) -> Candidate:
    """One of which only the answers matter."""
    nothing: Any = cast(Any, None)
    return Candidate("", nothing, nothing, nothing, right, losses)


def judged(wrong: int, loss: float, start: int = 0) -> Candidate:
    """200 images, of which so many from `start` on are wrong; losses scatter about their mean."""
    right = np.ones(200, bool)
    right[start : start + wrong] = False
    return candidate(right, loss + np.random.default_rng(wrong).normal(0, 0.1, 200))


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        (judged(10, 0.5), judged(30, 0.5), True),  # 20 gained, none lost
        (judged(26, 0.5, start=6), judged(30, 0.5), False),  # 6 gained, 2 lost: chance
        (judged(30, 0.4), judged(30, 0.5), True),  # as many right, and surer
        (judged(31, 0.4), judged(30, 0.5), False),  # surer, but one more is wrong
        (judged(30, 0.5), judged(30, 0.5), False),
        (judged(30, 0.5), judged(10, 0.5), False),
    ],
)
def test_a_candidate_is_better_only_beyond_chance(new, old, better):
    verdict = compare(new, old)
    assert verdict.better is better
    assert verdict.words.endswith("kept" if better else "left")


@pytest.mark.slow
def test_features_that_would_end_too_late_are_given_up_and_gone_on_with_later(pictures, monkeypatch):
    monkeypatch.setattr(feature_cache, "BLOCK", 8)
    recipe = load_recipe("backbone", {**SMALL, "fit.seed": 3})
    splits = read_splits(recipe.data, Source(str(pictures)))
    assert learn(recipe, splits, CPU, perf_counter() - 1, silent) is None
    heard: list[int] = []
    found = learn(recipe, splits, CPU, float("inf"), lambda done, total: heard.append(total))
    assert found is not None
    assert set(heard) == {len(splits.train) + len(splits.validation)}, "no test image is looked at"
    assert len(found.right) == len(found.losses) == len(splits.validation)
    assert found.right.mean() == pytest.approx(found.learner.validate().accuracy)
    assert found.losses.mean() == pytest.approx(found.learner.state.best_value, rel=1e-3)
