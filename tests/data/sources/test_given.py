"""Arrays and tensors given in Python become a source like any other, or are refused with what would help."""

import numpy as np
import pytest
import torch

import tenfold
from tenfold.core.errors import InputError
from tenfold.data.sources.given import keep_arrays

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (60, 9, 8, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def test_channels_first_and_last_are_the_same_images():
    last = tenfold.load_splits(keep_arrays((IMAGES, LABELS)))
    first = tenfold.load_splits(
        keep_arrays((torch.from_numpy(IMAGES).permute(0, 3, 1, 2), torch.from_numpy(LABELS)))
    )
    assert last.image_shape == (3, 9, 8)
    assert last.fingerprint == first.fingerprint
    assert np.array_equal(last.train.images(slice(None)), first.train.images(slice(None)))


def test_pairs_for_splits_keep_them():
    splits = tenfold.load_splits(
        keep_arrays({"train": (IMAGES[:40], LABELS[:40]), "test": (IMAGES[40:], LABELS[40:])})
    )
    assert len(splits.test) == 20
    assert np.array_equal(
        np.sort(splits.test.images(slice(None)).reshape(20, -1), 0), np.sort(IMAGES[40:].reshape(20, -1), 0)
    )


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ((IMAGES / 255, LABELS), "images are float64; expected uint8"),
        ((IMAGES, LABELS[:-1]), "an integer or a text for each of the 60 images"),
        ((IMAGES, np.eye(3)[LABELS]), r"labels.argmax\(1\)"),
        ((IMAGES[:, :3], LABELS), "both could be the channels"),
        ((IMAGES[..., :2], LABELS), "neither is the channels"),
        (IMAGES, "expected a path or a pair"),
        ({"holdout": (IMAGES, LABELS)}, "expected pairs for train, validation, test"),
    ],
)
def test_what_is_no_such_pair_is_refused(data, match):
    with pytest.raises(InputError, match=match):
        keep_arrays(data)


@pytest.mark.usefixtures("undrawn")
def test_a_run_on_arrays_is_opened_again_and_missed_only_until_they_are_given_again(tmp_path):
    run = tenfold.train(
        "single-conv", data=(IMAGES, LABELS), out=tmp_path, overrides={"fit.epochs": 1}, progress=False
    )
    accuracy = run.metrics["test"]["accuracy"]
    assert tenfold.evaluate(run.path, progress=False).metrics["test"]["accuracy"] == accuracy
    keep_arrays((IMAGES, LABELS)).unlink()
    with pytest.raises(InputError, match="the images are not there any more"):
        tenfold.evaluate(run.path, progress=False)
    keep_arrays((IMAGES, LABELS))
    assert tenfold.evaluate(run.path, progress=False).metrics["test"]["accuracy"] == accuracy
