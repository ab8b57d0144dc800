"""Training left between any two steps: a checkpoint is written, and what goes on from it ends with the same bits."""

import signal
from dataclasses import replace

import pytest
from safetensors.torch import load_file
from small import small_recipe

from tenfold.core.signals import Stopped, raised
from tenfold.core.tensors import read_header
from tenfold.models import build_model
from tenfold.recipe import load_recipe
from tenfold.runs.folder import Run
from tenfold.runs.state import State
from tenfold.training import learner, loop
from tenfold.training.loop import fit

# Everything that remembers: dropout, augmentation, the plateau's waiting, momentum, the hardest images, smaller ones,
# averaged weights.
PLAIN = (
    "fit.epochs=4",
    "fit.batch_size=30",
    'augment=[{name="rotation"},{name="mixup"}]',
    "model.dropout=0.5",
    "optimizer.name=sgd",
    "optimizer.momentum=0.9",
    "schedule.name=plateau",
    "schedule.patience=1",
)
FAST = (
    "model.widths=[4,6]",
    "model.depths=[1,1]",
    "fit.epochs=4",
    "fit.batch_size=30",
    "fit.hardest=[1.0,0.5]",
    "fit.scales=[0.8,1.0]",
    "fit.ema_decay=0.9",
)
STEPS = {"plain": 4 * 5, "fast": 5 + 3 * 3}


def recipe_of(kind: str, *more: str):
    return small_recipe(*PLAIN, *more) if kind == "plain" else load_recipe("fast-86", [*FAST, *more])


@pytest.fixture(scope="module")
def train(few_digits):
    """Train a recipe in a folder, from its checkpoint if there is one."""

    def work(kind: str, folder, watch=None, *more: str) -> Run:
        recipe, run = recipe_of(kind, *more), Run(folder)
        model = build_model(recipe.model, few_digits.image_shape, 10, seed=recipe.fit.seed)
        for _ in fit(model, few_digits, recipe, run, resume=run.has(Run.state), watch=watch):
            pass
        return run

    return work


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """The runs that nobody stopped."""
    return {kind: train(kind, tmp_path_factory.mktemp(kind)) for kind in STEPS}


def timeless(state: State) -> State:
    return replace(state, history=[{**row, "seconds": 0} for row in state.history])


def assert_same(run: Run, whole: Run) -> None:
    for file in (Run.weights, Run.state):
        one, other = load_file(run.path_of(file)), load_file(whole.path_of(file))
        assert one.keys() == other.keys()
        assert all(one[name].equal(other[name]) for name in one)
    states = [timeless(each.state) for each in (run, whole)]
    assert states[0] == states[1]
    assert states[0].history == [{**row, "seconds": 0} for row in run.history]


@pytest.mark.parametrize(("kind", "places"), [("plain", (1, 4, 5, 8, 13, 19)), ("fast", (2, 6, 7, 8, 11))])
def test_a_training_that_is_stopped_after_any_step_goes_on_to_the_same_bits(
    kind, places, train, whole, tmp_path
):
    seen = 0

    def watch(step) -> None:
        nonlocal seen
        seen += 1
        if seen in places:
            signal.raise_signal(signal.SIGINT)

    stops = 0
    while not (Run(tmp_path).has(Run.state) and Run(tmp_path).state.stop_reason):
        try:
            run = train(kind, tmp_path, watch)
        except KeyboardInterrupt:
            stops += 1
            within = Run(tmp_path).state.within
            assert within is None or within.steps
    assert stops == len(places)
    assert seen == STEPS[kind]
    assert_same(run, whole[kind])


def test_a_stop_while_validating_keeps_the_whole_epoch(train, whole, tmp_path, monkeypatch):
    score, seen = learner.score, []

    def stopping(*arguments):
        if not seen:
            signal.raise_signal(signal.SIGTERM)
        return score(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(learner, "score", stopping)
        with raised(), pytest.raises(Stopped) as stopped:
            train("plain", tmp_path)
    assert stopped.value.code == 143
    run = Run(tmp_path)
    assert (run.state.epoch, run.state.within.steps, run.state.within.images) == (0, 5, 150)
    assert read_header(run.path_of(Run.state))["version"] == 2
    steps = []
    train("plain", tmp_path, steps.append)
    assert len(steps) == STEPS["plain"] - 5
    assert_same(run, whole["plain"])


def test_checkpoints_within_an_epoch_come_with_the_clock_and_take_little_of_it(
    train, whole, tmp_path, monkeypatch
):
    saved = []
    save = loop.save_checkpoint
    monkeypatch.setattr(loop, "save_checkpoint", lambda *rest: (saved.append(rest[1].within), save(*rest)))
    monkeypatch.setattr(loop, "DISK_SHARE", 1e9)
    run = train("plain", tmp_path, None, "fit.checkpoint_minutes=1e-9")
    assert sum(within is not None for within in saved) >= STEPS["plain"]
    assert_same(run, whole["plain"])
