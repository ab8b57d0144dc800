"""How fast recipes learn: what is shown first, the hardest images, smaller images, bfloat16."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import tenfold
from tenfold.core.errors import InputError
from tenfold.data.feeds import MappedFeed
from tenfold.models import build_model
from tenfold.models.swift import Swift
from tenfold.recipe import load_recipe
from tenfold.runs.folder import Run
from tenfold.runs.state import Within
from tenfold.training import learner
from tenfold.training.loop import fit
from tenfold.training.method import Learned
from tenfold.training.steps import GradientSteps

CPU = torch.device("cpu")


def small_recipe(*overrides: str):
    sizes = ("model.widths=[4, 6]", "model.depths=[1, 1]", "augment=[{name='flip', alternate=true}]")
    return load_recipe("fast-86", [*sizes, "fit.epochs=3", "fit.batch_size=50", *overrides])


def begun(recipe):
    return build_model(recipe.model, (1, 8, 8), 10, seed=recipe.fit.seed)


def new_run(folder: Path, name: str) -> Run:
    (folder / name).mkdir()
    return Run(folder / name)


def without_seconds(records):
    return [replace(record, seconds=0.0) for record in records]


@pytest.fixture
def shown(monkeypatch):
    """What the network is shown before it learns: a list of (N, C, H, W) on 0..255, one entry for each time."""
    seen, initialise = [], Swift.initialise

    def note(self, images: torch.Tensor) -> None:
        seen.append(images * 64 + 127.5)
        initialise(self, images)

    monkeypatch.setattr(Swift, "initialise", note)
    return seen


def test_only_training_images_are_shown_and_only_before_the_first_epoch(shown, few_digits, tmp_path):
    recipe, run = small_recipe("fit.precision=float32"), Run(tmp_path)
    for record in fit(begun(recipe), few_digits, recipe, run):
        if record.epoch == 2:
            break
    assert len(list(fit(begun(recipe), few_digits, recipe, run, resume=True))) == 1
    (images,) = shown
    train = few_digits.train
    pixels = train.images(np.arange(len(train)))[..., 0]
    assert sorted(image.tobytes() for image in images[:, 0].round().byte().numpy()) == sorted(
        image.tobytes() for image in pixels
    )


def test_no_more_images_are_shown_than_are_needed(shown, few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "INITIALISATION_PIXELS", 40 * 64)
    recipe = small_recipe("fit.epochs=1")
    for name in ("one", "other"):
        list(fit(begun(recipe), few_digits, recipe, new_run(tmp_path, name)))
    recipe = small_recipe("fit.epochs=1", "fit.seed=1")
    list(fit(begun(recipe), few_digits, recipe, new_run(tmp_path, "third")))
    assert [len(images) for images in shown] == [40, 40, 40]
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])


# The hardest images ------------------------------------------------------------------------------------------


def test_an_epoch_learns_from_the_images_whose_loss_was_largest_when_last_seen(
    few_digits, tmp_path, monkeypatch
):
    seen: list[list[int]] = []

    class Watched(GradientSteps):
        def learn(self, epoch: int, within: Within) -> Learned:
            before = self.memory()["losses"].clone()
            seen.append([])
            answer = super().learn(epoch, within)
            if epoch > 1:
                others = torch.ones(len(before), dtype=torch.bool)
                others[seen[-1]] = False
                assert before[~others].min() >= before[others].max()
                after = self.memory()["losses"]
                assert after.isfinite().all()
                assert torch.equal(after[others], before[others]), "the loss of an unseen image is kept"
            return answer

    pixels = MappedFeed.pixels

    def noted(self, positions):
        if self.split.name == "train" and seen:
            seen[-1] += np.asarray(positions).tolist()
        return pixels(self, positions)

    monkeypatch.setattr(MappedFeed, "pixels", noted)
    recipe = small_recipe("fit.hardest=[1.0, 0.4, 0.25]", "fit.epochs=4")
    records = list(fit(begun(recipe), few_digits, recipe, new_run(tmp_path, "run"), method=Watched))
    count = len(few_digits.train)
    assert [len(set(positions)) for positions in seen] == [
        round(share * count) for share in (1, 0.4, 0.25, 0.25)
    ]
    rates = [record.learning_rate for record in records]
    full = recipe.optimizer.options["lr"]
    done = [0, 1 / 1.9, 1.4 / 1.9, 1.65 / 1.9]
    assert rates == pytest.approx([full * (1 - share) for share in done]), (
        "the schedule counts images, not epochs"
    )


# Smaller images ----------------------------------------------------------------------------------------------


def test_an_epochs_images_are_reduced_before_they_are_learned_from_and_judged_as_they_are(
    few_digits, tmp_path, monkeypatch
):
    sizes: list[set[tuple[bool, int, int]]] = []
    forward = Swift.forward

    def noted(self, images):
        sizes[-1].add((self.training, *images.shape[2:]))
        return forward(self, images)

    monkeypatch.setattr(Swift, "forward", noted)
    recipe = small_recipe("fit.scales=[0.5, 0.75, 1]", "fit.epochs=4")
    model, run = begun(recipe), new_run(tmp_path, "run")
    sizes.append(set())
    training = fit(model, few_digits, recipe, run)
    for _ in range(4):
        sizes.append(set())
        next(training)
    shown = [{size[1:] for size in seen if size[0]} for seen in sizes[1:]]
    assert shown == [{(4, 4)}, {(6, 6)}, {(8, 8)}, {(8, 8)}]
    assert {size[1:] for seen in sizes[2:] for size in seen if not size[0]} == {(8, 8)}


def test_a_model_of_one_size_refuses_smaller_images(few_digits, tmp_path):
    recipe = load_recipe("model-s-baseline", ["fit.scales=[0.75, 1]", "model.filters=[4]"])
    model = build_model(recipe.model, (1, 8, 8), 10)
    with pytest.raises(
        InputError, match=r"fit\.scales=\[0\.75, 1\.0\]: model-s cannot learn from images of 6x6"
    ):
        next(fit(model, few_digits, recipe, new_run(tmp_path, "run")))


# Precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_left_loop_goes_on_to_the_same_bits(few_digits, tmp_path, precision, stop_after):
    recipe = small_recipe(f"fit.precision={precision}")
    assert min(recipe.fit.shares(3)) < 1, "which images are left out must survive the break as well"
    whole, model = begun(recipe), begun(recipe)
    records = list(fit(whole, few_digits, recipe, new_run(tmp_path, "whole")))
    some, run = [], new_run(tmp_path, "run")
    for record in fit(model, few_digits, recipe, run):
        some.append(record)
        if record.epoch == stop_after:
            break
    model = begun(recipe)
    some += fit(model, few_digits, recipe, run, resume=True)
    assert without_seconds(some) == without_seconds(records)
    weights, expected = model.state_dict(), whole.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_bfloat16_computes_otherwise_and_keeps_weights_and_logits_in_float32(few_digits, tmp_path):
    found, dtypes = {}, set()
    for precision in ("float32", "bfloat16"):
        recipe = small_recipe(f"fit.precision={precision}", "fit.epochs=1")
        model = begun(recipe)
        head = model.network.head
        head.register_forward_hook(
            lambda head, _, output, name=precision: (
                dtypes.add((name, output.dtype)) if head.training else None
            )
        )
        list(fit(model, few_digits, recipe, new_run(tmp_path, precision)))
        found[precision] = model.state_dict()
        assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert dtypes == {("float32", torch.float32), ("bfloat16", torch.bfloat16)}
    assert not torch.equal(found["float32"]["network.head.weight"], found["bfloat16"]["network.head.weight"])
    with torch.autocast("cpu", torch.bfloat16):
        assert begun(recipe)(torch.zeros(4, 1, 8, 8)).dtype == torch.float32


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_what_a_bfloat16_run_saves_is_float32_and_what_evaluate_finds_again(tmp_path):
    recipe = small_recipe("fit.precision=bfloat16", "fit.epochs=2", "fit.hardest=[1.0, 0.5]", "model.views=2")
    run = tenfold.train(recipe, data="digits", out=tmp_path, name="run", progress=False)
    cost = run.metrics["training"]
    learned = cost["images_per_second"] * cost["seconds"]
    assert learned == pytest.approx(1.5 * len(run.splits().train), rel=0.01), (
        "images left out are not counted"
    )
    saved, metrics = run.predictions("test"), run.metrics["test"]
    assert saved.probabilities.dtype == np.float32
    test = run.splits().test
    pixels = torch.from_numpy(test.images(np.arange(len(test)))).permute(0, 3, 1, 2)
    with torch.inference_mode():
        by_model = F.softmax(run.model()(pixels), 1)
    assert torch.allclose(torch.from_numpy(saved.probabilities), by_model, atol=1e-6)
    again = tenfold.evaluate(run, progress=False)
    assert np.array_equal(again.predictions("test").probabilities, saved.probabilities)
    assert again.metrics["test"] == metrics
