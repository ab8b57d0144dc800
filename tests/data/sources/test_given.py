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
    "images",
    [
        (IMAGES / 255).astype(np.float32),
        IMAGES.astype(np.int64),
        IMAGES.astype(">u2") * 257,
        torch.from_numpy(IMAGES).permute(0, 3, 1, 2).double().div(255).requires_grad_(),
        torch.from_numpy(IMAGES).short(),
        list(IMAGES),
    ],
    ids=["float32", "int64", "big-endian", "gradient", "int16", "list"],
)
def test_images_may_be_of_the_types_that_arrays_in_files_may_have(images):
    assert keep_arrays((images, LABELS)) == keep_arrays((IMAGES, LABELS))


def test_a_tensor_of_bfloat16_is_its_nearest_pixels():
    halves = torch.from_numpy(IMAGES).div(255).bfloat16()
    with np.load(keep_arrays((halves, LABELS))) as kept:
        assert np.array_equal(kept["images"], halves.float().mul(255).round().byte().numpy())


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None],
        np.eye(3)[LABELS],
        torch.from_numpy(LABELS).int(),
        np.array(["0", "1", "2"], object)[LABELS],
        [str(label) for label in LABELS],
    ],
    ids=["column", "one-hot", "int32", "objects", "list"],
)
def test_labels_may_be_of_the_kinds_that_arrays_in_files_may_have(labels):
    splits = tenfold.load_splits({"train": (IMAGES[:40], labels[:40]), "test": (IMAGES[40:], labels[40:])})
    assert splits.class_names == ("0", "1", "2")
    pixels = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    wanted = [pixels[image.tobytes()] for image in splits.test.images(slice(None))]
    assert len(wanted) == 20
    assert splits.test.labels.tolist() == wanted


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (
            (IMAGES / 127.5 - 1, LABELS),
            "images has the type float64 and values from -1.0 to 1.0; .* standardising",
        ),
        ((IMAGES * 20.0, LABELS), "expected uint8, or floating-point values from 0 to 1"),
        ((IMAGES, LABELS[:-1]), "one integer or text for each of the 60 images"),
        ((IMAGES, LABELS + 0.5), r"labels has the shape \(60,\) and the type float64"),
        ((IMAGES, np.array(["a", None, "b"], object)[LABELS]), "the type object"),
        (
            ([image[: 8 + i % 2] for i, image in enumerate(IMAGES)], LABELS),
            "images make no array .* class folders",
        ),
        ((IMAGES[:0], LABELS[:0]), r"images of shape \(0, 9, 8, 3\) hold no pixels"),
        ((IMAGES[:, :0], LABELS), "hold no pixels"),
        ((IMAGES, LABELS, LABELS), "got tuple of 3"),
        ((IMAGES[:, :3], LABELS), "both the second and the last axis could be the channels'"),
        ((IMAGES[..., :2], LABELS), "an axis of 1, 3 or 4 channels"),
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
