"""Features are computed once, kept whole, and a head on them is an ordinary run whose joined model stands alone."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen import CPU, SMALL, quiet, same_features, small_model
from networks import transfer_network
from photographs import crop_photographs, missing
from safetensors.torch import save_file
from small import draw_pictures

from tenfold import load_run
from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.models import build_model
from tenfold.recipe import load_recipe
from tenfold.recipe.components import Choice
from tenfold.runs.folder import Run
from tenfold.training.loop import fit
from tenfold.training.transfer import on_features


@pytest.mark.slow
def test_the_features_of_a_cross_validation_are_computed_once(tmp_path, own_cache):
    draw_pictures(tmp_path / "pictures", ("a", "b"), 9)
    recipe = load_recipe("backbone", {**SMALL, "data.folds": 3, "data.image_size": 32})
    splits = read_splits(recipe.data, Source(str(tmp_path / "pictures")))
    computed = []
    for parts in (*splits.folds, splits):
        model = small_model(parts)
        together = on_features(model, parts, recipe, CPU, quiet)
        computed.append(together.features["computed"])
        alone = on_features(model, replace(parts, whole=None), recipe, CPU, quiet)
        for found, expected in zip(together.splits, alone.splits, strict=True):
            assert found.labels.tolist() == expected.labels.tolist()
            same_features(found.images(slice(None)), expected.images(slice(None)))
    assert computed == [18, 0, 0, 0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model.views": 3}, r"model\.views=3: without augmentations all views"),
        ({"augment": [{"name": "flip"}]}, r"flip would change nothing.*model\.views=4"),
        ({"augment": [{"name": "mixup"}], "model.views": 2}, "mixup mixes labels.*model.unfreeze=all"),
    ],
)
def test_augmentations_that_a_frozen_backbone_would_not_see_are_refused(few_digits, overrides, message):
    recipe = load_recipe("backbone", SMALL | overrides)
    model = build_model(recipe.model, (1, 8, 8), 10)
    with pytest.raises(InputError, match=message):
        on_features(model, few_digits, recipe, CPU, quiet)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["logistic", "mlp"])
def test_a_resumed_head_ends_with_the_weights_of_one_that_was_never_interrupted(few_digits, tmp_path, head):
    recipe = load_recipe(
        "backbone", SMALL | {"model.head": head, "model.dense": 16, "fit.epochs": 4, "stop.patience": None}
    )
    for name in ("whole", "begun"):
        (tmp_path / name).mkdir()

    def task():
        return on_features(build_model(recipe.model, (1, 8, 8), 10), few_digits, recipe, CPU, quiet)

    def epochs(task, folder, resume=False):
        return fit(
            task.model, task.splits, task.recipe, Run(tmp_path / folder), resume=resume, method=task.method
        )

    whole, begun, resumed = task(), task(), task()
    list(epochs(whole, "whole"))
    generator = epochs(begun, "begun")
    next(generator), next(generator)
    generator.close()
    list(epochs(resumed, "begun", resume=True))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    joined, expected = load_run_model(tmp_path / "begun"), whole.model.complete(whole.model.state_dict())
    assert joined.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, joined[name]), name


def load_run_model(folder: Path) -> dict[str, torch.Tensor]:
    from tenfold.runs.folder import Run

    return Run(folder).model().state_dict()


@pytest.fixture(scope="module")
def finished_transfer(tmp_path_factory, cache, command):
    """A run of the command with a local weights file, which is gone afterwards."""
    folder = tmp_path_factory.mktemp("transfer")
    pictures = draw_pictures(folder / "shapes", ("circle", "cross", "square"), 16)
    import timm

    torch.manual_seed(3)
    save_file(timm.create_model("test_efficientnet", num_classes=5).state_dict(), folder / "mine.safetensors")
    words = [
        "model.backbone=test_efficientnet",
        f"model.weights={folder / 'mine.safetensors'}",
        "model.image_size=32",
    ]
    answer = command("train", "backbone", "--data", pictures, "--out", folder / "runs", *words)
    assert answer.status == 0, answer.err
    again = command(
        "train", "backbone", "--data", pictures, "--out", folder / "runs", *words, "model.head=mlp"
    )
    assert again.status == 0, again.err
    (folder / "mine.safetensors").unlink()
    return folder / "runs", answer, again


@pytest.mark.slow
def test_a_transfer_run_is_an_ordinary_run(finished_transfer):
    runs, answer, again = finished_transfer
    run = load_run(runs / "backbone-1")
    assert "Warning" not in answer.err + again.err
    assert run.report.is_file()
    assert run.metrics["test"]["n"] == len(run.predictions("test").labels)
    facts = json.loads((run.path / "transfer.json").read_text())
    assert facts["engine"] == "onnxruntime"
    assert facts["computed"] == facts["images"] == 48
    assert 0 <= facts["sanity"]["nearest_mean_accuracy"] <= 1
    assert len(run.history) <= len(facts["strengths"]) == 13
    training = run.metrics["training"]
    assert training["strength"] == facts["strengths"][training["best_epoch"] - 1]
    assert training["seconds"] > facts["seconds"], "the features belong to the training"
    assert "epoch" not in training["stop_reason"]
    assert f"best strength {training['strength']:g}, restored" in answer.out
    assert "epoch" not in answer.out
    second = json.loads((runs / "backbone-2" / "transfer.json").read_text())
    assert (second["engine"], second["computed"]) == ("cache", 0)


def test_the_joined_model_needs_neither_weights_file_nor_cache(finished_transfer, tmp_path, monkeypatch):
    runs, _, _ = finished_transfer
    run = load_run(runs / "backbone-1")
    test = run.splits().test
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path))
    model = run.model()
    with torch.no_grad():
        images = torch.from_numpy(test.images(slice(None))).permute(0, 3, 1, 2)
        probabilities = model(images).softmax(1).numpy()
    np.testing.assert_allclose(probabilities, run.predictions("test").probabilities, atol=2e-3)
    described = json.loads((run.path / "model.json").read_text())
    assert described["architecture"]["backbone"] == "test_efficientnet"
    assert len(described["preprocessing"]["mean"]) == 3


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("verb", ["evaluate", "resume"])
def test_a_finished_transfer_run_can_be_evaluated_and_resumed_without_its_weights_file(
    finished_transfer, verb, command
):
    runs, _, _ = finished_transfer
    before = load_run(runs / "backbone-1").metrics["test"]
    answer = command(verb, runs / "backbone-1")
    assert answer.status == 0, answer.err
    assert load_run(runs / "backbone-1").metrics["test"] == before


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("recipe", ["mobilenetv2-transfer", "vgg16-features"])
def test_the_homeworks_recipes_run_whole_with_a_local_weights_file(recipe, tmp_path, command):
    """The architecture at full size; only the pictures are few and small, and the weights random."""
    chosen = load_recipe(recipe).model.options
    model = build_model(Choice(name="backbone", **{**chosen, "image_size": 32}), (3, 16, 16), 3, seed=1)
    weights = transfer_network(model).extractor.network.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "local.safetensors")
    pictures = draw_pictures(tmp_path / "shapes", ("circle", "cross", "square"), 6)
    words = [
        "fit.epochs=1",
        f"model.weights={tmp_path / 'local.safetensors'}",
        "model.dense=64",
        "model.image_size=64",
    ]
    answer = command("train", recipe, "--data", pictures, "--out", tmp_path, "--name", "run", *words)
    assert answer.status == 0, answer.err
    facts = json.loads((tmp_path / "run" / "transfer.json").read_text())
    assert (
        facts["features_per_image"] == {"mobilenetv2-transfer": 1280, "vgg16-features": 512 * 2 * 2}[recipe]
    )
    assert facts["parity"] < 1e-3
    assert load_run(tmp_path / "run").model()(torch.zeros(1, 3, 16, 16)).shape == (1, 3)


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_photographs_of_unequal_sizes_are_learned_offline_with_the_default(tmp_path, monkeypatch, command):
    folder = crop_photographs(tmp_path / "photos", 60)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it asked the network"))
    answer = command("train", folder, "--out", tmp_path / "runs", "model.image_size=96")
    assert answer.status == 0, answer.err
    run = load_run(tmp_path / "runs" / "backbone-1")
    assert run.data["image_shape"] == [224, 224, 3]
    assert run.metrics["validation"]["accuracy"] > 0.8
