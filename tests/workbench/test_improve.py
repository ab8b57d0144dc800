"""What the minutes are used for: the best candidate becomes the run."""

import pytest
import torch

import tenfold
from tenfold.core.errors import InputError
from tenfold.workbench import improve
from tenfold.workbench.verbs import resume

CPU = torch.device("cpu")
SMALL = {"model.backbone": "test_efficientnet", "model.weights": "none", "model.image_size": 32}


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
def test_a_backbone_that_the_overrides_ask_for_is_taken_in_a_hurry_too(pictures, tmp_path, capsys):
    run = tenfold.train(data=pictures, minutes=0.1, out=tmp_path, overrides=SMALL)
    assert run.recipe.model.options["backbone"] == "test_efficientnet"
    assert "backbone" in run.name


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_backbone_at_its_own_size_is_planned_too(pictures, tmp_path):
    own = {**SMALL, "model.image_size": 0}
    run = tenfold.train(data=pictures, minutes=0.1, out=tmp_path, overrides=own)
    assert run.recipe.model.options["image_size"] == 0


def test_a_users_own_backbone_without_weights_is_refused_by_its_name(pictures):
    with pytest.raises(InputError, match="no_such_backbone"):
        tenfold.train(data=pictures, minutes=1.0, overrides={"model.backbone": "no_such_backbone"})
