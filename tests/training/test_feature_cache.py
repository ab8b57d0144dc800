"""Features are computed once, kept whole, and named by all that decides them."""

import json
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from frozen import PLAIN, Slow, quiet, same_features, small_model
from small import flip_byte

from tenfold.augment import build_augmentations
from tenfold.core.errors import TenfoldError
from tenfold.recipe.components import Choice
from tenfold.training.feature_cache import Views, compute, feature_set


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


def test_features_that_cannot_fit_are_refused_before_they_are_computed(few_digits, own_cache):
    model, split = small_model(few_digits), few_digits.train
    wanted = replace(feature_set(model, split, PLAIN), shape=(len(split), 10**15))
    with pytest.raises(TenfoldError, match=r"features\.npy: the disk is full: [\d,]+\.\d MiB are needed"):
        compute(wanted, split, PLAIN, Slow(model, left=0), quiet)


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
