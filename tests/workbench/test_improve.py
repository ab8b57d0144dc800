"""What the minutes are used for: candidates are compared image by image, and the best one becomes the run."""

from time import perf_counter
from typing import Any, cast

import numpy as np
import pytest
import torch

import tenfold
from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.recipe import load_recipe
from tenfold.training import feature_cache
from tenfold.workbench import improve
from tenfold.workbench.candidates import Candidate, compare, learn
from tenfold.workbench.clock import Deadline, OutOfTimeError
from tenfold.workbench.verbs import resume

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


def test_a_deadline_stops_work_whose_end_is_foreseen_too_late_and_never_what_is_done():
    over, ample = Deadline(silent, perf_counter() - 1), Deadline(silent, perf_counter() + 1000)
    over(10, 10)
    ample(1, 10**6)
    ample(2, 100)
    with pytest.raises(OutOfTimeError):
        over(1, 10)


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


def test_the_best_candidate_becomes_the_run_and_is_not_learned_again(tmp_path, pictures, capsys, monkeypatch):
    monkeypatch.setattr(improve, "_MOST_EPOCHS", 3)
    monkeypatch.setattr(improve, "_MOST_STEPS", 3)
    run = tenfold.train(
        data=pictures, minutes=30.0, out=tmp_path, overrides=SMALL | {"data.validation_fraction": 0.3}
    )
    said = capsys.readouterr().out
    assert "fine-tuning at 32 pixels, about 3 epochs" in said
    assert "are left: what there is to try, in the time there is, was tried; ends early" in said
    learned = run.history
    assert len(learned) == run.metrics["training"]["epochs"]
    best = learned[run.metrics["training"]["best_epoch"] - 1]
    assert run.metrics["validation"]["accuracy"] == pytest.approx(best["validation_accuracy"])
    assert run.recipe.model.options["backbone"] == "test_efficientnet"
    again = resume(run.path, progress=False)
    assert again.history == learned
    assert again.metrics["test"] == run.metrics["test"]


def test_a_backbone_that_the_overrides_ask_for_is_taken_in_a_hurry_too(pictures, tmp_path, capsys):
    run = tenfold.train(data=pictures, minutes=0.1, out=tmp_path, overrides=SMALL)
    assert run.recipe.model.options["backbone"] == "test_efficientnet"
    assert "backbone" in run.name


def test_a_backbone_at_its_own_size_is_planned_too(pictures, tmp_path):
    own = {**SMALL, "model.image_size": 0}
    run = tenfold.train(data=pictures, minutes=0.1, out=tmp_path, overrides=own)
    assert run.recipe.model.options["image_size"] == 0


def test_a_users_own_backbone_without_weights_is_refused_by_its_name(pictures):
    with pytest.raises(InputError, match="no_such_backbone"):
        tenfold.train(data=pictures, minutes=1.0, overrides={"model.backbone": "no_such_backbone"})
