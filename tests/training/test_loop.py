"""The training loop: repeatable, the best epoch restored, ended by a bad loss or by patience, resumed bit for bit."""

import math
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from small import small_recipe
from torch.nn import functional as F

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.randomness import seed_for
from tenfold.data.feeds import feed
from tenfold.data.orders import epoch_order
from tenfold.inference.evaluation import score
from tenfold.models import build_model
from tenfold.runs.checkpoint import read_state
from tenfold.runs.folder import Run
from tenfold.training.learner import Epoch
from tenfold.training.loop import fit
from tenfold.training.method import Step
from tenfold.training.optimizers import KerasAdam

CPU = torch.device("cpu")


@pytest.fixture
def trained(few_digits, tmp_path_factory):
    """Train the small recipe with overrides on the few digits: model, records, run."""

    def train(*overrides: str, splits=few_digits, **options):
        recipe = small_recipe(*overrides)
        channels, height, width = splits.image_shape
        model = build_model(recipe.model, (channels, height, width), 10, seed=recipe.fit.seed)
        run = Run(tmp_path_factory.mktemp("run"))
        return model, list(fit(model, splits, recipe, run, **options)), run

    return train


def without_seconds(records: list[Epoch]) -> list[Epoch]:
    return [replace(record, seconds=0.0) for record in records]


def same_weights(one, other) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == twin and torch.equal(a, b) for (name, a), (twin, b) in pairs)


AUGMENTED = ('augment=[{name="rotation"},{name="mixup"}]', "model.dropout=0.5", "fit.label_smoothing=0.1")


@pytest.mark.parametrize("overrides", [(), AUGMENTED])
def test_the_same_seed_gives_identical_weights_whatever_was_drawn_before(trained, overrides):
    model, records, _ = trained(*overrides)
    torch.rand(3)
    np.random.rand(3)
    again, records_again, _ = trained(*overrides)
    assert same_weights(model, again)
    assert without_seconds(records) == without_seconds(records_again)


def test_another_seed_gives_other_weights(trained):
    model, _, _ = trained("fit.seed=0")
    other, _, _ = trained("fit.seed=1")
    assert not same_weights(model, other)


def test_records_count_epochs_and_are_in_history_csv(trained):
    _, records, run = trained("fit.epochs=3")
    assert [record.epoch for record in records] == [1, 2, 3]
    assert run.history == [asdict(record) for record in records]
    assert read_state(run.path).history == run.history
    assert read_state(run.path).stop_reason == "all 3 epochs done"
    assert read_state(run.path).step == 3 * 3


def test_it_learns(trained):
    _, records, _ = trained("fit.epochs=15", "model.filters=[8]", "model.dense=32", "model.dropout=0.0")
    assert records[-1].loss < records[0].loss / 2
    assert records[-1].validation_accuracy > 0.6


def test_the_logged_validation_figures_are_the_models(trained, few_digits):
    model, records, _ = trained("fit.epochs=1", "model.conv_l2=0.01", "model.dense_l2=0.02")
    images, labels = feed(few_digits.validation, CPU).take(np.arange(100))
    with torch.inference_mode():
        logits = model.eval()(images)
    penalty = sum(
        rate * weight.square().sum()
        for weight, rate in ((p, 0.01 if p.dim() == 4 else 0.02) for p in model.parameters() if p.dim() > 1)
    )
    expected = F.cross_entropy(logits, labels) + penalty
    assert records[0].validation_loss == pytest.approx(expected.item(), rel=1e-5)
    assert records[0].validation_accuracy == int((logits.argmax(1) == labels).sum()) / 100


def test_the_logged_loss_is_the_mean_over_images_while_the_model_changes(few_digits, tmp_path):
    # Batch norm would need a second implementation here; this network has none.
    recipe = small_recipe(
        "model.name=model-s",
        "fit.epochs=1",
        "optimizer.name=sgd",
        "optimizer.lr=0.1",
        "schedule.name=constant",
    )
    model, twin = (build_model(recipe.model, (1, 8, 8), 10, seed=4).train() for _ in range(2))
    (record,) = fit(model, few_digits, recipe, Run(tmp_path))
    total, correct = 0.0, 0
    batches = feed(few_digits.train, CPU)
    for positions in epoch_order(few_digits.train, 64, "split", 0, 1):
        images, labels = batches.take(positions)
        logits = twin(images)
        loss = F.cross_entropy(logits, labels)
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter -= 0.1 * parameter.grad
        total += loss.item() * len(labels)
        correct += int((logits.argmax(1) == labels).sum())
    assert record.loss == pytest.approx(total / 150, rel=1e-5)
    assert record.accuracy == correct / 150
    for parameter, expected in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(parameter, expected, atol=1e-6)


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_accuracy"])
def test_the_best_epoch_by_the_monitored_metric_is_restored(trained, few_digits, monitor):
    model, records, run = trained(
        "fit.epochs=8", "optimizer.lr=0.2", "schedule.name=constant", f"stop.monitor={monitor}"
    )
    values = [getattr(record, monitor) for record in records]
    best = values.index(min(values) if monitor == "validation_loss" else max(values))
    state = read_state(run.path)
    assert (state.best_epoch, state.best_value) == (best + 1, values[best])
    assert best + 1 < len(records), "choose another rate: this test needs a best epoch before the last"
    loss, accuracy, *_ = score(model, feed(few_digits.validation, CPU))
    assert {"validation_loss": loss, "validation_accuracy": accuracy}[monitor] == values[best]
    assert same_weights(model, run.model())


def test_patience_ends_training_and_names_the_metric(trained):
    _, records, run = trained("fit.epochs=50", "optimizer.lr=0.1", "stop.patience=2")
    losses = [record.validation_loss for record in records]
    best = losses.index(min(losses))
    assert len(records) == best + 1 + 2 < 50
    assert read_state(run.path).stop_reason == "validation_loss did not improve for 2 epochs"
    assert not read_state(run.path).failed


def test_an_improvement_below_min_delta_does_not_count(trained):
    _, records, run = trained("fit.epochs=9", "stop.patience=3", "stop.min_delta=100")
    assert len(records) == 4
    assert read_state(run.path).best_epoch == 1


@pytest.mark.parametrize(("poison", "word"), [(math.nan, "nan"), (math.inf, "nan|inf")])
def test_a_loss_that_is_not_finite_stops_names_the_step_and_keeps_the_best(
    few_digits, tmp_path, poison, word
):
    recipe = small_recipe("fit.epochs=9")
    model = build_model(recipe.model, (1, 8, 8), 10)
    kept = []

    def spoil(step: Step) -> None:
        if (step.epoch, step.step) == (3, 2):
            with torch.no_grad():
                next(model.parameters()).fill_(poison)

    records = []
    for record in fit(model, few_digits, recipe, Run(tmp_path), watch=spoil):
        records.append(record)
        kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    state = read_state(tmp_path)
    assert len(records) == 2
    assert state.failed
    assert state.epoch == 2
    assert "at step 3 of epoch 3; a lower optimizer.lr is the usual remedy" in state.stop_reason
    assert any(part in state.stop_reason for part in word.split("|"))
    best = kept[state.best_epoch - 1]
    assert all(torch.equal(best[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(best[name], tensor) for name, tensor in Run(tmp_path).model().state_dict().items())


def test_a_validation_loss_that_is_not_finite_stops_too(few_digits, tmp_path):
    recipe = small_recipe("fit.epochs=9")
    model = build_model(recipe.model, (1, 8, 8), 10)

    def spoil(step: Step) -> None:
        if step.step == step.steps:
            model.state_dict()["network.1.running_var"].fill_(math.nan)

    assert list(fit(model, few_digits, recipe, Run(tmp_path), watch=spoil)) == []
    state = read_state(tmp_path)
    assert state.failed
    assert state.best_epoch == 0
    assert state.stop_reason == "the validation loss became nan after epoch 1"


def test_a_sample_of_the_validation_images_judges_every_epoch_alike(trained, few_digits):
    model, records, _ = trained("stop.sample=30")
    whole = feed(few_digits.validation, CPU)
    judged = [
        few_digits.validation.part(np.sort(np.random.default_rng(seed).permutation(100)[:30]))
        for seed in (seed_for(0, "validation sample"), seed_for(1, "validation sample"))
    ]
    best = min(records, key=lambda record: record.validation_loss)
    mine, another = (score(model, feed(split, CPU)) for split in judged)
    assert mine[:2] == (best.validation_loss, best.validation_accuracy)
    assert another != mine
    assert score(model, whole) != mine


def test_a_sample_of_more_images_than_there_are_is_all_of_them(trained):
    _, records, _ = trained("stop.sample=100")
    _, expected, _ = trained()
    assert without_seconds(records) == without_seconds(expected)


def test_a_real_divergence_is_caught(trained):
    _, records, run = trained(
        "optimizer.name=sgd", "optimizer.lr=1e30", "schedule.name=constant", "fit.epochs=9"
    )
    assert read_state(run.path).failed
    assert len(records) < 9


def test_the_watcher_hears_every_step(trained):
    seen: list[Step] = []
    _, records, _ = trained(watch=seen.append)
    assert [(step.epoch, step.step) for step in seen] == [(e, s) for e in (1, 2) for s in (1, 2, 3)]
    assert all(step.steps == 3 and step.epochs == 2 and step.images_per_second > 0 for step in seen)
    assert [seen[2].loss, seen[5].accuracy] == [records[0].loss, records[1].accuracy]


# Resuming ----------------------------------------------------------------------------------------------------

PLATEAU = ("schedule.name=plateau", "schedule.patience=1", "optimizer.name=sgd", "optimizer.momentum=0.9")


@pytest.mark.parametrize("overrides", [(), AUGMENTED, PLATEAU, ("optimizer.name=rmsprop", "stop.patience=2")])
@pytest.mark.parametrize("stop_after", [1, 4])
def test_a_left_loop_goes_on_to_the_same_bits(trained, few_digits, tmp_path, overrides, stop_after):
    overrides = (*overrides, "fit.epochs=6", "optimizer.lr=0.05")
    whole, records, whole_run = trained(*overrides)
    recipe, run = small_recipe(*overrides), Run(tmp_path)
    model = build_model(recipe.model, (1, 8, 8), 10)
    begun = []
    for record in fit(model, few_digits, recipe, run):
        begun.append(record)
        if record.epoch == stop_after:
            break
    model = build_model(recipe.model, (1, 8, 8), 10)
    begun += list(fit(model, few_digits, recipe, run, resume=True))
    assert without_seconds(begun) == without_seconds(records)
    assert same_weights(model, whole)
    state, expected = read_state(run.path), read_state(whole_run.path)
    for one in (state, expected):
        one.history = [{**record, "seconds": 0} for record in one.history]
    assert state == expected


def test_a_finished_run_resumes_to_nothing_but_its_best_weights(trained, few_digits):
    model, _, run = trained()
    again = build_model(small_recipe().model, (1, 8, 8), 10, seed=9)
    assert list(fit(again, few_digits, small_recipe(), run, resume=True)) == []
    assert same_weights(again, model)


@pytest.mark.slow
def test_minutes_are_by_the_clock_between_epochs_too(few_digits, tmp_path):
    recipe = small_recipe("fit.epochs=1000", "fit.minutes=0.05")
    model = build_model(recipe.model, (1, 8, 8), 10)
    records = []
    for record in fit(model, few_digits, recipe, Run(tmp_path)):
        records.append(record)
        time.sleep(3)
    assert len(records) <= 2
    assert read_state(tmp_path).stop_reason == "its 3 s of training were up"


def test_resuming_without_a_checkpoint_is_an_error(few_digits, tmp_path):
    model = build_model(small_recipe().model, (1, 8, 8), 10)
    with pytest.raises(InputError, match="there is no such file"):
        next(fit(model, few_digits, small_recipe(), Run(tmp_path), resume=True))


# Learning rates ----------------------------------------------------------------------------------------------


def test_the_plateau_sees_the_validation_losses_of_the_records(trained):
    _, records, _ = trained(
        "fit.epochs=10",
        "optimizer.lr=0.1",
        "schedule.name=plateau",
        "schedule.patience=1",
        "schedule.gamma=0.5",
    )
    rate, best, expected = 0.1, math.inf, []
    for record in records:
        expected.append(rate)
        if record.validation_loss < best - 1e-4:
            best = record.validation_loss
        else:
            rate *= 0.5
    assert [record.learning_rate for record in records] == pytest.approx(expected)
    assert rate < 0.1, "choose another rate: this test needs an epoch without improvement"


def test_rates_follow_the_schedule_step_by_step(few_digits, tmp_path):
    recipe = small_recipe(
        "schedule.name=one-cycle", "schedule.peak=0.5", "schedule.start=0.0", "optimizer.lr=0.06"
    )
    rates, model = [], build_model(recipe.model, (1, 8, 8), 10)
    step = KerasAdam.step

    def note(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KerasAdam, "step", note)
        records = list(fit(model, few_digits, recipe, Run(tmp_path)))
    assert rates == pytest.approx([0, 0.02, 0.04, 0.06, 0.04, 0.02])
    assert [record.learning_rate for record in records] == pytest.approx([0, 0.06])


def test_a_run_whose_checkpoints_cannot_fit_is_refused_before_it_begins(few_digits, tmp_path):
    """The weights of the added layer, of 4 PB, are declared and take no memory."""
    recipe, run = small_recipe(), Run(tmp_path)
    model = build_model(recipe.model, few_digits.image_shape, 10, seed=0)
    model.add_module("wide", torch.nn.Linear(10**6, 10**9, device="meta"))
    with pytest.raises(
        TenfoldError, match=r"checkpoint: the disk is full: 19,07\d,\d{3},\d{3}\.\d MiB are needed"
    ):
        next(fit(model, few_digits, recipe, run))
    assert list(tmp_path.iterdir()) == []
