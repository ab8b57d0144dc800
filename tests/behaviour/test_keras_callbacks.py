"""Plateau and early stopping decide as Keras' callbacks do, on the notebooks' logs and on random ones.

Both sides hear the same validation losses, epoch by epoch; what is compared is the learning rate of every epoch,
the epoch after which training stops and the epoch whose weights are restored.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_notebooks import keras

from tenfold.data import Source, Split, Splits
from tenfold.models import build_model
from tenfold.recipe import Fit, Recipe, Stop
from tenfold.recipe.components import Choice
from tenfold.training.learner import Epoch, Learner

# Validation losses of notebook 01 (17 epochs: it stopped early) and notebook 03 (all 30 epochs).
NOTEBOOK_01 = [
    1.43607, 1.24996, 1.15490, 1.01155, 1.00895, 0.94372, 0.91953, 0.9825, 0.9320,
    0.9420, 0.91586, 0.9378, 0.9595, 0.9820, 0.9786, 0.9842, 0.9868,
]  # fmt: skip
NOTEBOOK_03 = [
    1.49206, 1.42269, 1.14256, 1.00053, 1.0437, 1.0098, 0.89442, 0.87872, 0.9018, 0.86829,
    0.84683, 0.9075, 0.80905, 0.71656, 0.7175, 0.7789, 0.70526, 0.7131, 0.8112, 0.67245,
    0.7078, 0.7108, 0.7637, 0.60258, 0.6038, 0.58894, 0.57572, 0.5806, 0.56494, 0.5663,
]  # fmt: skip
VALUES = st.lists(
    st.one_of(
        st.floats(0.01, 5),
        # Around plateau's `min_delta` of 1e-4, ties included.
        st.integers(0, 12).map(lambda steps: 1 + steps * 5e-5),
    ),
    min_size=1,
    max_size=40,
)


@dataclass
class Decisions:
    """The learning rate of each epoch that ran, and the epoch whose weights are restored."""

    rates: list[float]
    best_epoch: int


@dataclass
class Rules:
    """What both sides are told."""

    monitor: str = "loss"
    rate: float = 0.01
    gamma: float = 0.1
    patience: int = 3
    min_delta: float = 1e-4
    cooldown: int = 0
    floor: float = 0.0
    stop_patience: int = 6


def by_keras(values: list[float], rules: Rules) -> Decisions:
    """Keras' own callbacks, beside an object that has what they touch of a model."""
    model = SimpleNamespace(
        optimizer=SimpleNamespace(learning_rate=np.float64(rules.rate)),
        stop_training=False,
        get_weights=list,
        set_weights=len,
    )
    monitor, mode = f"val_{rules.monitor}", "min" if rules.monitor == "loss" else "max"
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor,
        mode=mode,
        factor=rules.gamma,
        patience=rules.patience,
        min_delta=rules.min_delta,
        cooldown=rules.cooldown,
        min_lr=rules.floor * rules.rate,
    )
    stop = keras.callbacks.EarlyStopping(
        monitor, mode=mode, patience=rules.stop_patience, restore_best_weights=True
    )
    for callback in (plateau, stop):
        callback.set_model(model)
        callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        rates.append(float(model.optimizer.learning_rate))
        for callback in (plateau, stop):
            callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            break
    return Decisions(rates, stop.best_epoch + 1)


def by_tenfold(values: list[float], rules: Rules) -> Decisions:
    """tenfold's learner with recorded epochs: its schedule and its stopping rule."""
    monitor = f"validation_{rules.monitor}"
    options = {name: getattr(rules, name) for name in ("gamma", "patience", "min_delta", "cooldown", "floor")}
    recipe = Recipe(
        model=Choice(name="single-conv", filters=1, dense=1),
        optimizer=Choice(name="sgd", lr=rules.rate, momentum=0.9, nesterov=False, weight_decay=0.0),
        schedule=Choice(name="plateau", monitor=monitor, **options),
        stop=Stop(monitor=monitor, patience=rules.stop_patience),
        fit=Fit(epochs=len(values)),
    )
    learner, rates = Learner(build_model(recipe.model, (1, 4, 4), 2), blank_splits(), recipe), []
    while learner.state.stop_reason is None:
        epoch = learner.state.epoch + 1
        value, rate = values[epoch - 1], learner.method.begin(epoch)
        learner.note(Epoch(epoch, value, value, value, value, rate, 0.0))
        rates.append(rate)
    return Decisions(rates, learner.state.best_epoch)


def blank_splits() -> Splits:
    pixels = np.zeros((1, 4, 4, 1), np.uint8)
    parts = [
        Split(name, pixels, np.zeros(1, np.int64), np.zeros(1, np.int64), ["blank"], (1,), name)
        for name in ("train", "validation", "test")
    ]
    return Splits(*parts, ("a", "b"), Source())


def assert_same_decisions(values: list[float], rules: Rules) -> Decisions:
    theirs, ours = by_keras(values, rules), by_tenfold(values, rules)
    assert ours.rates == pytest.approx(theirs.rates, rel=1e-9)
    assert ours.best_epoch == theirs.best_epoch
    return ours


def test_notebook_01():
    decided = assert_same_decisions(NOTEBOOK_01, Rules())
    assert decided.best_epoch == 11
    assert len(decided.rates) == 17
    assert decided.rates == pytest.approx([0.01] * 10 + [0.001] * 4 + [0.0001] * 3)


def test_notebook_03():
    """Its best epoch is 29; the notebook's own test figures are of epoch 30 (see `tenfold.training.learner`)."""
    decided = assert_same_decisions(NOTEBOOK_03, Rules(rate=0.001))
    assert decided.best_epoch == 29
    assert decided.rates == pytest.approx([0.001] * 23 + [0.0001] * 7)


@given(
    values=VALUES,
    rules=st.builds(
        Rules,
        monitor=st.sampled_from(["loss", "accuracy"]),
        gamma=st.sampled_from([0.1, 0.5]),
        patience=st.integers(1, 5),
        min_delta=st.sampled_from([0.0, 1e-4, 0.1]),
        cooldown=st.integers(0, 3),
        floor=st.sampled_from([0.0, 0.03]),
        stop_patience=st.integers(1, 8),
    ),
)
@settings(max_examples=60, deadline=None)
def test_random_values_and_rules(values, rules):
    assert_same_decisions(values, rules)
