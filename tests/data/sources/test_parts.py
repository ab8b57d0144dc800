"""Which names stand for a split, alone, together and in files' names."""

from pathlib import Path

import pytest

from tenfold.core.errors import InputError
from tenfold.data.sources.parts import in_split_order, split_named, split_of_file, splits_named, wrapping


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("train_set3", "train"),
        ("my dataset", None),
        ("seg_test", "test"),
        ("val", "validation"),
        ("Validierung", "validation"),
        ("valida\u00e7\u00e3o", "validation"),
        ("valid-images-2", "validation"),
        ("\u8bad\u7ec3\u96c6", "train"),
        ("trains", None),
        ("trainer", None),
        ("protest", None),
        ("cat", None),
        ("", None),
    ],
)
def test_a_folders_name_stands_for_a_split_or_for_none(name, split):
    assert split_named(name) == split


def test_eval_is_a_test_unless_there_is_one():
    assert splits_named(["train", "eval", "cat"]) == {"train": "train", "eval": "test"}
    assert splits_named(["train", "eval", "test"])["eval"] == "validation"
    assert splits_named(["val", "eval", "test"])["eval"] == "test"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00002.parquet", "train"),
        ("validation/0001.parquet", "validation"),
        ("test.npz", "test"),
        ("all.parquet", None),
        ("best-train.npz", None),
    ],
)
def test_a_files_name_or_folder_says_its_split(name, split):
    assert split_of_file(name) == split


def test_files_come_in_the_order_of_their_splits_and_names():
    names = ["test-0", "train-1", "val-0", "train-0"]
    assert in_split_order(Path("d"), names) == [
        ("train", "train-0"),
        ("train", "train-1"),
        ("validation", "val-0"),
        ("test", "test-0"),
    ]
    assert in_split_order(Path("d"), ["b", "a"]) == [(None, "a"), (None, "b")]
    with pytest.raises(InputError, match="the name of more does not say its split"):
        in_split_order(Path("d"), ["train-0", "more"])


@pytest.mark.parametrize(
    ("images", "root"),
    [
        (["a/b/cat/0.png", "a/b/dog/0.png"], "a/b/"),
        (["cat/0.png", "dog/0.png"], ""),
        (["cat/0.png", "cat/1.png"], ""),
        (["data/train/cat/0.png", "data/train/dog/0.png"], "data/"),
        (["0.png"], ""),
    ],
)
def test_what_an_archive_wraps_around_everything_is_left_out(images, root):
    assert wrapping(images) == root
