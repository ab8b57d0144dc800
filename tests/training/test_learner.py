"""A learner apart from disk: what an epoch's record means for the best one, the end, and what goes on."""

import pytest
import torch
from small import first, small_recipe

from tenfold.models import build_model
from tenfold.training.learner import Epoch, Learner, _sample


@pytest.fixture
def learner(few_digits):
    """A learner of a network of a few parameters, by overrides of its recipe."""

    def make(*overrides: str, **options) -> Learner:
        recipe = small_recipe("model.filters=[1]", "model.dense=1", *overrides)
        return Learner(build_model(recipe.model, (1, 8, 8), 10), few_digits, recipe, **options)

    return make


def record(epoch: int, loss: float) -> Epoch:
    return Epoch(epoch, 1.0, 0.5, loss, 0.5, 0.1, 2.0)


def heard(learner: Learner, *losses: float) -> Learner:
    for epoch, loss in enumerate(losses, 1):
        assert learner.state.stop_reason is None
        learner.note(record(epoch, loss))
    return learner


def test_the_best_epochs_weights_are_kept_and_put_back(learner):
    made = heard(learner("fit.epochs=9", "stop.patience=none"), 0.5)
    best = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(1)
    made.note(record(2, 0.6))
    assert (made.state.epoch, made.state.best_epoch, made.improved) == (2, 1, False)
    made.restore_best()
    assert all(torch.equal(best[name], tensor) for name, tensor in made.model.state_dict().items())


@pytest.mark.parametrize(
    ("overrides", "losses", "reason"),
    [
        (("fit.epochs=2", "stop.patience=none"), (0.5, 0.4), "all 2 epochs done"),
        (
            ("fit.epochs=9", "stop.patience=2"),
            (0.5, 0.6, 0.5),
            "validation_loss did not improve for 2 epochs",
        ),
        (
            ("fit.epochs=9", "stop.patience=1", "stop.min_delta=0.1"),
            (0.5, 0.45),
            "validation_loss did not improve for 1 epochs",
        ),
    ],
)
def test_training_ends_and_says_why(learner, overrides, losses, reason):
    assert heard(learner(*overrides), *losses).state.stop_reason == reason


def test_training_ends_when_its_time_is_up(learner):
    made = heard(learner("fit.epochs=9", "fit.minutes=1", spent_before=61.0), 0.5)
    assert made.state.stop_reason == "its 60 s of training were up"


def test_one_that_goes_on_knows_what_was_before(learner):
    before = heard(learner("fit.epochs=9", "fit.minutes=10", spent_before=5.0), 0.5, 0.4)
    after = learner("fit.epochs=9", "fit.minutes=10", spent_before=5.0)
    after.go_on(before.memory)
    assert after.state is before.state
    assert after.pace.spent_before == pytest.approx(5.0 + 2 * 2.0)
    after.note(record(3, 0.3))
    assert after.state.best_epoch == 3


def test_a_loss_that_is_not_finite_ends_it_without_an_epoch(learner):
    made = learner()
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.fill_(float("nan"))
    assert made.run_epoch() is None
    assert made.state.failed
    assert made.state.came_to_nothing
    assert "the loss became nan at step 1 of epoch 1" in str(made.state.stop_reason)


def test_some_validation_images_judge_always_the_same_ones(few_digits):
    validation = few_digits.validation
    recipe = small_recipe("stop.sample=30")
    chosen, again = (_sample(validation, recipe) for _ in range(2))
    assert list(chosen.paths) == list(again.paths)
    assert len(set(chosen.paths)) == 30
    other = _sample(validation, small_recipe("stop.sample=30", "fit.seed=1"))
    assert list(other.paths) != list(chosen.paths)
    assert _sample(first(validation, 30), recipe) is not chosen
    assert _sample(validation, small_recipe()) is validation
