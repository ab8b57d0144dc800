"""MNIST's files, packed or not, with every damage named."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from images import classes_of, load, refused

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
LABELS = (np.arange(60) % 3).astype(np.uint8)


def write_idx(path: Path, values: np.ndarray) -> Path:
    head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    contents = head + values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(contents) if path.suffix == ".gz" else contents)
    return path


def mnist(root: Path, train: str = "train-images-idx3-ubyte", test: str = "t10k-images-idx3-ubyte") -> Path:
    for name, part in ((train, slice(0, 40)), (test, slice(40, 60))):
        write_idx(root / name, PIXELS[part])
        write_idx(root / name.replace("images", "labels").replace("idx3", "idx1"), LABELS[part])
    return root


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
        ("raw/emnist-letters-train-images-idx3-ubyte.gz", "raw/emnist-letters-test-images-idx3-ubyte.gz"),
    ],
)
def test_mnist_under_its_names(tmp_path, train, test):
    splits = load(mnist(tmp_path, train, test))
    assert splits.class_names == ("0", "1", "2")
    assert splits.image_shape == (1, 8, 8)
    assert len(splits.test) == 20
    np.testing.assert_array_equal(splits.test.images(slice(None))[..., 0], PIXELS[40:])
    assert splits.test.labels.tolist() == LABELS[40:].tolist()
    assert classes_of(splits)["train"].count("0") + classes_of(splits)["validation"].count("0") == 14


def test_what_is_missing_or_damaged_is_named(tmp_path):
    whole = mnist(tmp_path / "a")
    (whole / "train-labels-idx1-ubyte").unlink()
    refused(whole, "train-images-idx3-ubyte: its labels (train-labels-idx1-ubyte) are missing")
    for at, contents in ((0, b"\1\1\1\1"), (8, b"\0\0\0\x09")):
        damaged = mnist(tmp_path / f"b{at}") / "train-images-idx3-ubyte"
        old = damaged.read_bytes()
        damaged.write_bytes(old[:at] + contents + old[at + 4 :])
        refused(damaged.parent, "train-images-idx3-ubyte: is no intact IDX file of 3 axes of bytes")
    cut = mnist(tmp_path / "c", "train-images-idx3-ubyte.gz") / "train-images-idx3-ubyte.gz"
    cut.write_bytes(cut.read_bytes()[:100])
    refused(cut.parent, "is no intact IDX file")
    two = mnist(mnist(tmp_path / "d"), "emnist-train-images-idx3-ubyte", "emnist-test-images-idx3-ubyte")
    refused(two, "images of the MNIST form. Keep one data set in a folder")
