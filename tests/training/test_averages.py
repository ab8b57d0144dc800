"""The moving average of weights: by its own definition, judged and kept instead of the last step's."""

from dataclasses import asdict

import pytest
import torch
from small import small_recipe

from tenfold.core.errors import InputError
from tenfold.inference.evaluation import score
from tenfold.models import build_model
from tenfold.recipe import load_recipe
from tenfold.runs.folder import Run
from tenfold.training.averages import Averages
from tenfold.training.begin import new_model
from tenfold.training.learner import Learner
from tenfold.training.loop import fit


def small_model(*overrides: str):
    return build_model(small_recipe(*overrides).model, (1, 8, 8), 10)


@pytest.mark.parametrize(("decay", "kept"), [(0.9, [2 / 11, 3 / 12, 4 / 13]), (0.2, [2 / 11, 0.2, 0.2])])
def test_each_step_keeps_the_decay_or_less_in_the_first_steps(decay, kept):
    model = small_model()
    averages = Averages(model, decay)
    name = next(name for name, _ in model.named_parameters())
    expected = model.state_dict()[name].clone()
    for share in kept:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        averages.update()
        expected = share * expected + (1 - share) * model.state_dict()[name]
        torch.testing.assert_close(averages.model.state_dict()[name], expected)


def test_the_average_is_judged_and_kept_and_the_steps_go_on_from_their_own(few_digits, tmp_path):
    recipe = small_recipe("fit.ema_decay=0.8", "fit.epochs=2", "stop.monitor=validation_accuracy")
    model = build_model(recipe.model, (1, 8, 8), 10)
    learner = Learner(model, few_digits, recipe)
    record = learner.run_epoch()
    plain = Learner(build_model(recipe.model, (1, 8, 8), 10), few_digits, small_recipe("fit.epochs=2"))
    plain.run_epoch()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.model.parameters(), strict=True))
    judged = score(learner.averages.model, learner.validation, None)
    assert record.validation_loss == judged.loss != score(model, learner.validation, None).loss
    learner.run_epoch()
    learner.restore_best()
    best = learner.state.history[learner.state.best_epoch - 1]
    assert score(model, learner.validation, None).loss == pytest.approx(best["validation_loss"])

    run = Run(tmp_path)
    records = list(fit(build_model(recipe.model, (1, 8, 8), 10), few_digits, recipe, run))
    assert asdict(records[0]) | {"seconds": 0} == asdict(record) | {"seconds": 0}
    assert all(torch.equal(tensor, learner.best[name]) for name, tensor in run.model().state_dict().items())


def test_whitening_that_never_learns_is_the_images_own_from_the_start(few_digits):
    recipe = load_recipe("fast-86", ["model.widths=[4,6]", "model.depths=[1,1]", "fit.ema_decay=0.99"])
    model = build_model(recipe.model, few_digits.image_shape, 10)
    learner = Learner(model, few_digits, recipe)
    learner.run_epoch()
    assert torch.equal(learner.averages.model.network.whitening.weight, model.network.whitening.weight)


def test_a_head_that_is_solved_has_no_steps_to_average(few_digits):
    with pytest.raises(InputError, match=r"fit.ema_decay=0.9: .* Set fit.ema_decay=0"):
        new_model(load_recipe("backbone", ["model.weights=none", "fit.ema_decay=0.9"]), few_digits)
