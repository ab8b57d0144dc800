"""Features are computed once, kept whole, and a head on them is an ordinary run whose joined model stands alone."""

import json
import resource
import signal
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import transfer_network
from photographs import crop_photographs, missing
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from small import draw_pictures, flip_byte

from tenfold import load_run
from tenfold.augment import build_augmentations
from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Source, read_splits
from tenfold.inference import engines
from tenfold.inference.engines import Engine
from tenfold.models import Classifier, build_model
from tenfold.recipe import load_recipe
from tenfold.recipe.components import Choice
from tenfold.runs.folder import Run
from tenfold.training import feature_cache
from tenfold.training.feature_cache import Views, compute, feature_set
from tenfold.training.heads import measure_features
from tenfold.training.loop import fit
from tenfold.training.transfer import on_features

CPU = torch.device("cpu")
SMALL = {"model.backbone": "test_efficientnet", "model.weights": "none", "model.image_size": 32}
PLAIN = Views(1, build_augmentations((), 10), 0)


def quiet(done: int, total: int) -> None:
    """A progress that nobody watches."""


def small_model(splits, seed=0, **options) -> Classifier:
    recipe = load_recipe("backbone", SMALL | {f"model.{name}": value for name, value in options.items()})
    return build_model(recipe.model, splits.image_shape, len(splits.class_names), seed=seed)


class Slow:
    """Plain PyTorch features, counting the images; it fails when `left` batches are done."""

    def __init__(self, model: Classifier, left: int = 10**9) -> None:
        self.model, self.left, self.images = model.eval(), left, 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.images += len(pixels)
        with torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
            found = transfer_network(self.model).extractor((images - self.model.mean) / self.model.deviation)
        return found.permute(0, 2, 3, 1).numpy().astype(np.float16)


def same_features(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to float16's last bit: a batch of another size may be summed in another order."""
    np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), rtol=2e-3, atol=1e-5)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of this test's own, and small blocks."""
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "BLOCK", 16)
    return tmp_path / "cache"


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


def test_onnx_gives_pytorchs_features_also_for_a_batch_that_is_not_full(few_digits):
    model = small_model(few_digits, stages=2)
    engine = Engine(model, (1, 8, 8), CPU)
    pixels = few_digits.train.images(slice(0, engines.CPU_BATCH + 3))
    found = engine(pixels)
    assert engine.name == "onnxruntime"
    assert engine.parity is not None
    assert 0 <= engine.parity < 1e-4
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, Slow(model)(pixels), rtol=2e-3, atol=1e-3)


def test_an_export_is_kept_and_made_anew_where_it_is_damaged_or_of_another_network(few_digits, own_cache):
    images = few_digits.train.images(slice(0, 5))

    def features() -> tuple[bool, np.ndarray]:
        engine = Engine(small_model(few_digits), (1, 8, 8), CPU)
        found = engine(images)
        return engine._kept, found

    first, second = features(), features()
    assert (first[0], second[0]) == (False, True)
    np.testing.assert_array_equal(first[1], second[1])
    (path,) = (own_cache / "graphs").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"damaged !")
    assert not features()[0]
    assert path.read_bytes()[:16] == whole[:16]
    # Another network's export under this one's name: proven wrong on the first images, and replaced.
    other = small_model(few_digits)
    with torch.no_grad():
        for parameter in transfer_network(other).extractor.parameters():
            parameter.mul_(1.5)
    Engine(other, (1, 8, 8), CPU)
    (elsewhere,) = (one for one in path.parent.iterdir() if one != path)
    elsewhere.replace(path)
    kept, found = features()
    assert not kept
    np.testing.assert_array_equal(found, first[1])


def test_features_that_differ_from_pytorchs_are_refused(few_digits, own_cache):
    engine = Engine(small_model(few_digits), (1, 8, 8), CPU)
    with torch.no_grad():  # after the export, so that the exported network is now another one
        next(transfer_network(small_model(few_digits)).parameters()).mul_(2)
        for parameter in engine.module.parameters():
            parameter.mul_(1.5)
    with pytest.raises(TenfoldError, match="onnxruntime gives other features than PyTorch: they differ by"):
        engine(few_digits.train.images(slice(0, 4)))


def test_an_interrupted_feature_set_goes_on_where_it_stopped(few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.train
    wanted = feature_set(model, split, PLAIN)
    with pytest.raises(KeyboardInterrupt):
        compute(wanted, split, PLAIN, Slow(model, left=3), quiet)
    assert not wanted.complete
    partial = wanted.folder.with_name(f".{wanted.folder.name}.partial")
    with (partial / "features.npy").open("ab") as file:
        file.write(b"half a block that was never noted")
    rest, heard = Slow(model), []
    assert compute(wanted, split, PLAIN, rest, lambda *progress: heard.append(progress)) == len(split) - 48
    assert rest.images == len(split) - 48
    assert heard[0] == (48, len(split))
    assert heard[-1] == (len(split), len(split))
    same_features(wanted.open(), Slow(model)(split.images(slice(None))))
    assert compute(wanted, split, PLAIN, Slow(model, left=0), quiet) == 0


def test_a_begun_feature_set_of_another_version_is_begun_anew(few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.validation
    wanted = feature_set(model, split, PLAIN)
    with pytest.raises(KeyboardInterrupt):
        compute(wanted, split, PLAIN, Slow(model, left=1), quiet)
    note = wanted.folder.with_name(f".{wanted.folder.name}.partial") / "progress.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"version": 0}))
    assert compute(wanted, split, PLAIN, Slow(model), quiet) == len(split)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "features.npy").write_bytes(b"\x93NUMPY"),
            "the cached features are damaged",
        ),
        (
            lambda folder: (folder / "features.npy").write_bytes((folder / "features.npy").read_bytes()[:-2]),
            "the cached features are damaged",
        ),
        (
            lambda folder: (folder / "features.json").write_text('{"version": 0}'),
            "of version 0, this tenfold reads",
        ),
        (lambda folder: flip_byte(folder / "features.npy", -7), "changed since they were written"),
        (lambda folder: (folder / "features.npy").write_bytes(b""), "the cached features are damaged"),
        (lambda folder: (folder / "features.json").write_text("["), "the cached features are damaged"),
        (lambda folder: (folder / "features.json").write_text("[]"), "the cached features are damaged"),
        (lambda folder: (folder / "features.npy").unlink(), "the cached features are damaged"),
        (
            lambda folder: np.save(folder / "features.npy", np.zeros((2, 2))),
            r"float64 \(2, 2\), expected float16 \(100, 1, 1,",
        ),
    ],
)
def test_damaged_features_are_named_with_the_remedy(few_digits, own_cache, damage, message):
    model, split = small_model(few_digits), few_digits.validation
    wanted = feature_set(model, split, PLAIN)
    compute(wanted, split, PLAIN, Slow(model), quiet)
    damage(wanted.folder)
    with pytest.raises(TenfoldError, match=rf"{message}.*Remove .*{wanted.folder.name}"):
        wanted.open()


def test_features_without_their_description_are_computed_anew(few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.validation
    wanted = feature_set(model, split, PLAIN)
    compute(wanted, split, PLAIN, Slow(model), quiet)
    (wanted.folder / "features.json").unlink()
    assert compute(wanted, split, PLAIN, Slow(model), quiet) == len(split)
    same_features(wanted.open(), Slow(model)(split.images(slice(None))))


@pytest.mark.parametrize("damage", ["empty", "cut", "note"])
def test_a_begun_feature_set_that_is_damaged_is_begun_anew(damage, few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.train
    wanted = feature_set(model, split, PLAIN)
    with pytest.raises(KeyboardInterrupt):
        compute(wanted, split, PLAIN, Slow(model, left=3), quiet)
    begun = wanted.folder.with_name(f".{wanted.folder.name}.partial")
    features = begun / "features.npy"
    if damage == "note":
        (begun / "progress.json").write_text("[]")
    else:
        features.write_bytes(b"" if damage == "empty" else features.read_bytes()[:200])
    assert compute(wanted, split, PLAIN, Slow(model), quiet) == len(split)
    same_features(wanted.open(), Slow(model)(split.images(slice(None))))


def test_a_full_disk_is_explained_and_nothing_is_lost(few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.train
    wanted = feature_set(model, split, PLAIN)
    row = 2 * wanted.shape[-1]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (128 + 40 * row, limits[1]))
    try:
        with pytest.raises(TenfoldError, match="the disk is full"):
            compute(wanted, split, PLAIN, Slow(model), quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, kept)
    assert compute(wanted, split, PLAIN, Slow(model), quiet) == len(split) - 32
    same_features(wanted.open(), Slow(model)(split.images(slice(None))))


def test_a_feature_set_is_named_by_all_that_decides_its_numbers(few_digits):
    split = few_digits.train
    model = small_model(few_digits)
    flip = Views(2, build_augmentations([Choice(name="flip")], 10), 0)
    keys = [
        feature_set(model, split, PLAIN).folder,
        feature_set(small_model(few_digits, seed=1), split, PLAIN).folder,
        feature_set(small_model(few_digits, image_size=64), split, PLAIN).folder,
        feature_set(small_model(few_digits, stages=1), split, PLAIN).folder,
        feature_set(model, few_digits.validation, PLAIN).folder,
        feature_set(model, split, flip).folder,
        feature_set(model, split, replace(flip, seed=1)).folder,
    ]
    assert len(set(keys)) == len(keys)
    # ... and by nothing else: another head, or another seed without views, shares it.
    assert feature_set(small_model(few_digits, head="mlp"), split, replace(PLAIN, seed=3)).folder == keys[0]


def test_views_are_the_image_itself_and_augmented_versions_of_it(few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.validation
    views = Views(3, build_augmentations([Choice(name="rotation", factor=0.1)], 10), 5)
    wanted = feature_set(model, split, views)
    with pytest.raises(KeyboardInterrupt):
        compute(
            wanted, split, views, Slow(model, left=9), quiet
        )  # seven blocks a view: this is inside the second
    compute(wanted, split, views, Slow(model), quiet)
    found = wanted.open()
    plain = Slow(model)(split.images(slice(None)))
    assert len(found) == 3 * len(split)
    same_features(found[: len(split)], plain)
    for view in (1, 2):
        positions = torch.arange(len(split))
        images = torch.from_numpy(split.images(slice(None))).permute(0, 3, 1, 2)
        turned, _ = views.pipeline.epoch(5, view)(images, positions, positions)
        expected = Slow(model)(turned.permute(0, 2, 3, 1).numpy())
        part = found[view * len(split) : (view + 1) * len(split)]
        np.testing.assert_allclose(part, expected, rtol=1e-2, atol=1e-2)
        assert np.abs(part.astype(np.float32) - plain).max() > 0.05


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


def test_each_strength_is_solved_to_scikit_learns_logistic_regression(few_digits, tmp_path):
    strengths = (0.1, 0.01)
    recipe = load_recipe("backbone", SMALL | {"model.strengths": strengths, "stop.patience": None})
    model = build_model(recipe.model, (1, 8, 8), 10)
    task = on_features(model, few_digits, recipe, CPU, quiet)
    train, validation = task.splits.train, task.splits.validation
    flat = train.images(slice(None)).reshape(len(train), -1).astype(np.float64)
    mean, deviation = flat.mean(0), flat.std(0)
    deviation[deviation**2 <= 1e-8] = 1.0
    asked = (validation.images(slice(None)).reshape(len(validation), -1) - mean) / deviation
    losses = []
    for epoch in fit(task.model, task.splits, task.recipe, Run(tmp_path), method=task.method):
        theirs = LogisticRegression(C=1 / (strengths[epoch.epoch - 1] * len(train)), max_iter=2000, tol=1e-8)
        theirs.fit((flat - mean) / deviation, train.labels)
        probabilities = theirs.predict_proba(asked)
        losses.append(-np.log(probabilities[np.arange(len(asked)), validation.labels]).mean())
        assert epoch.validation_loss == pytest.approx(losses[-1], rel=5e-3)
        assert epoch.validation_accuracy == pytest.approx(theirs.score(asked, validation.labels), abs=0.021)
    assert len(losses) == 2


def test_standardising_leaves_a_feature_that_never_varies_alone(few_digits):
    model = small_model(few_digits)
    head = transfer_network(model).head
    count = transfer_network(model).extractor.feature_shape[0]
    values = np.random.default_rng(0).normal(3, 2, (150, 1, 1, count)).astype(np.float16)
    values[..., 0] = 7
    split = replace(few_digits.train, pixels=values, rows=np.arange(150))
    measure_features(head, split)
    scaled = head[1](torch.from_numpy(values[:, 0, 0].astype(np.float32)))  # pyright: ignore
    assert scaled[:, 0].abs().max() < 1e-6
    torch.testing.assert_close(scaled[:, 1:].mean(0), torch.zeros(count - 1), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled[:, 1:].std(0, correction=0), torch.ones(count - 1), atol=1e-3, rtol=0)


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
