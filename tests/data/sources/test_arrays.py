"""What arrays of images, labels and class names may be, and which arrays belong together."""

import numpy as np
import pytest

from tenfold.core.errors import InputError
from tenfold.data.sources.arrays import (
    array_pairs,
    array_part,
    checked_classes,
    checked_images,
    checked_names,
)


@pytest.mark.parametrize(
    ("keys", "pairs"),
    [
        (["x_test", "y_test", "x_train", "y_train"], ["train", "test"]),
        (["train_images", "train_labels", "val_images", "val_labels"], ["train", "validation"]),
        (["images", "labels"], [None]),
        (["X", "y"], [None]),
        (["X", "Y"], [None]),
        (["x_more", "y_more"], []),
        (["x_train"], []),
        ([], []),
    ],
)
def test_arrays_of_images_find_their_labels(keys, pairs):
    found = list(array_pairs(keys))
    assert [split for split, _, _ in found] == pairs
    assert all(images in keys and labels in keys for _, images, labels in found)


def test_a_part_names_its_images_by_their_places():
    part = array_part("train", "a.npz", np.zeros((2, 4, 5, 3), np.uint8)[:, :, ::-1], ["x", "y"])
    assert (part.split, part.paths, part.classes) == ("train", ["a.npz#0", "a.npz#1"], ["x", "y"])
    for _, image in part.encoded():
        assert isinstance(image, np.ndarray)
        assert image.flags.c_contiguous
        assert image.shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("images", "shape", "value"),
    [
        (np.full((2, 5, 6), 7, np.uint8), (2, 5, 6, 1), 7),
        (np.full((2, 5, 6, 3), 7, np.uint8), (2, 5, 6, 3), 7),
        (np.full((2, 3, 5, 6), 7, np.uint8), (2, 5, 6, 3), 7),
        (np.full((2, 1, 5, 6), 7, np.int32), (2, 5, 6, 1), 7),
        (np.full((2, 5, 6), 257, np.uint16), (2, 5, 6, 1), 1),
        (np.full((2, 5, 6), 0.5, np.float32), (2, 5, 6, 1), 128),
        (np.full((2, 5, 6), True), (2, 5, 6, 1), 255),
        (np.zeros((0, 5, 6), np.uint8), (0, 5, 6, 1), 0),
    ],
)
def test_images_become_bytes_with_their_channels_last(images, shape, value):
    found = checked_images("a.npz: images", images)
    assert (found.shape, found.dtype) == (shape, np.uint8)
    assert (found == value).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((5, 6), np.uint8), r"has the shape \(5, 6\)"),
        (np.zeros((2, 5, 6, 2), np.uint8), r"has the shape \(2, 5, 6, 2\)"),
        (np.zeros((2, 0, 6, 3), np.uint8), r"has the shape \(2, 0, 6, 3\)"),
        (np.full((2, 5, 6), 256), "int64 and values from 256 to 256"),
        (np.full((2, 5, 6), -1), "values from -1 to -1"),
        (np.full((2, 5, 6), 1.01), "float64 and values from 1.01"),
        (np.full((2, 5, 6), np.nan), "values from nan"),
    ],
)
def test_what_is_no_array_of_images_is_refused(images, words):
    with pytest.raises(InputError, match=words):
        checked_images("a.npz: images", images)


def test_labels_are_texts_numbers_numbers_of_names_or_ones_in_rows():
    def classes(labels, names=None):
        return checked_classes("a", np.array(labels), len(labels), names)

    assert classes(["b", "a"]) == classes([b"b", b"a"]) == ["b", "a"]
    assert classes([2, 0]) == classes([[2], [0]]) == classes([[0, 0, 1], [1, 0, 0]]) == ["2", "0"]
    assert classes([1, 0], ["cat", "dog"]) == ["dog", "cat"]
    assert classes(["x", "y"], ["cat", "dog"]) == ["x", "y"]
    assert classes([True, False]) == ["True", "False"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0, 2]), "reaches from 0 to 2, but class_names has 2 names"),
        (np.array([-1, 0]), "reaches from -1"),
        (np.array([0]), "one integer or text for each of the 2 images"),
        (np.array([0.5, 1]), "float64"),
        (np.ones((2, 3)), r"has the shape \(2, 3\)"),
        (np.array([b"\xff", b"a"]), "no UTF-8"),
    ],
)
def test_labels_that_say_no_class_are_refused(labels, words):
    with pytest.raises(InputError, match=words):
        checked_classes("a.npz: labels", labels, 2, ["cat", "dog"])


def test_names_of_classes_are_texts():
    assert checked_names("a", np.array([b"cat", b"dog"])) == checked_names("a", np.array(["cat", "dog"]))
    for wrong in (np.array("cat"), np.arange(2), np.array([["a"]])):
        with pytest.raises(InputError, match="expected a text for each class"):
            checked_names("a", wrong)
