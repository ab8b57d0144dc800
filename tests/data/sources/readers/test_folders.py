"""Which folders are splits and which are classes: what is understood, what is refused, and with which words."""

import shlex
import unicodedata
from pathlib import Path

import pytest
from corpus import pets, split_folders, splits_in_classes
from images import class_folders, classes_of, load, random_pixels, refused, save

from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.recipe import Data


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize(
    ("train", "test", "validation"),
    [
        ("train", "test", "val"),
        ("train_set", "test_set", "val_set"),
        ("training_set", "test_set", ""),
        ("seg_train", "seg_test", ""),
        ("trainset", "testset", "valset"),
        ("train_images", "test", "valid_set"),
        ("Training", "Testing", "Validation"),
        ("train", "eval", "validate"),
        ("Train", "Test", "Dev"),
        ("treino", "teste", "valida\u00e7\u00e3o"),
        ("entrenamiento", "prueba", "validaci\u00f3n"),
        ("entra\u00eenement", "test", "validation"),
        ("Trainingsdaten", "Testdaten", "Validierung"),
        ("\u8bad\u7ec3\u96c6", "\u6d4b\u8bd5\u96c6", "\u9a8c\u8bc1\u96c6"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folders_of_splits(tmp_path, train, test, validation, form):
    names = [unicodedata.normalize(form, name) for name in (train, test, validation)]
    splits = load(split_folders(*names)(tmp_path))
    assert splits.class_names == ("cat", "dog")
    assert len(splits.test) == 10
    assert len(splits.validation) == (8 if validation else 2)
    assert "(train)" in splits.layout
    assert "(test)" in splits.layout


def test_eval_beside_test_is_validation(tmp_path):
    splits = load(split_folders("train", "test", "eval")(tmp_path))
    assert {name: len(found) for name, found in classes_of(splits).items()} == {
        "train": 12,
        "validation": 8,
        "test": 10,
    }


def test_split_folders_once_more_inside_themselves(tmp_path):
    for name in ("seg_train", "seg_test"):
        class_folders(tmp_path / name / name, {"forest": 6, "sea": 6}, seed=len(name) * 100)
    splits = load(tmp_path)
    assert splits.class_names == ("forest", "sea")
    assert len(splits.test) == 12


def test_splits_inside_classes(tmp_path):
    splits = load(splits_in_classes(tmp_path))
    assert splits.class_names == ("cat", "dog")
    assert classes_of(splits)["test"] == ["cat"] * 3 + ["dog"] * 3
    assert all("/test/" in path for path in splits.test.paths)
    assert not [path for path in splits.train.paths if "/test/" in path]


def test_splits_inside_some_classes_are_refused(tmp_path):
    splits_in_classes(tmp_path)
    class_folders(tmp_path, {"cow": 5})
    refused(
        tmp_path,
        "holds folders of splits (test/, train/)",
        "not every class",
        "cow/  5 images",
        "data.nested=true",
    )


def test_images_with_splits_beside_labels(tmp_path):
    split_folders("train", "val")(tmp_path / "images")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 1 1")
    splits = load(tmp_path)
    assert splits.class_names == ("cat", "dog")
    assert len(splits.validation) == 10


def test_masks_beside_images_are_refused(tmp_path):
    pets(tmp_path / "images")
    pets(tmp_path / "masks", seed=77)
    refused(tmp_path, "masks/ holds pictures beside images/", f"--data {tmp_path / 'images'}")


def test_masks_beside_images_in_each_split_are_refused(tmp_path):
    for split in ("train", "val"):
        class_folders(tmp_path / split, {"images": 6, "masks": 6}, seed=len(split))
    refused(tmp_path, "masks/ holds pictures beside images/")


def test_folders_between_a_split_and_its_classes_are_asked_for(tmp_path):
    for number, split in enumerate(("train", "test")):
        for place in ("north", "south"):
            class_folders(tmp_path / split / place, {"cat": 6, "dog": 6}, seed=5000 * number + ord(place[0]))
    refused(
        tmp_path,
        "north/ and south/ hold folders of the same names",
        f"--train {tmp_path / 'train' / 'north'}",
    )
    folders = {
        split: tuple(str(tmp_path / split / place) for place in ("north", "south"))
        for split in ("train", "test")
    }
    assert read_splits(Data(), Source(**folders)).class_names == ("cat", "dog")
    assert load(tmp_path, nested=True).class_names == ("north", "south")


def said_words(error: InputError, name: str) -> Path:
    words = shlex.split(str(error))
    return Path(words[words.index(name) + 1].rstrip(".,"))


def test_unknown_names_of_splits_are_refused_with_words_that_work(tmp_path):
    split_folders("opetus", "testaus")(tmp_path)
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert "hold folders of the same names (cat, dog)" in str(error.value)
    assert "opetus/  cat/ (6), dog/ (6)" in str(error.value)
    train, test = (said_words(error.value, f"--{name}") for name in ("train", "test"))
    splits = read_splits(Data(), Source(train=(str(train),), test=(str(test),)))
    assert splits.class_names == ("cat", "dog")
    assert len(splits.test) == 10
    assert load(tmp_path, nested=True).class_names == ("opetus", "testaus")


@pytest.mark.parametrize("beside", ["Dataset", "Examples"])
def test_a_second_folder_of_pictures_beside_the_real_one(tmp_path, beside):
    class_folders(tmp_path / "Animals", {"cat": 6, "dog": 6})
    for i in range(4):
        save(tmp_path / beside / f"{i}.png", random_pixels(900 + i))
    refused(
        tmp_path, f"Animals/ holds folders of images, and {beside}/ only images", str(tmp_path / "Animals")
    )


def test_a_folder_beside_those_of_splits(tmp_path):
    split_folders("train", "test")(tmp_path)
    save(tmp_path / "Examples" / "0.png", random_pixels(900))
    refused(tmp_path, "Examples", "holds images, but is no split's folder", f"--train {tmp_path / 'train'}")


def test_a_split_without_labels_is_refused_with_words_that_work(tmp_path):
    """Kaggle's dogs-vs-cats: train/cat.0.jpg, test1/1.jpg."""
    for i in range(12):
        save(tmp_path / "train" / f"{('cat', 'dog')[i % 2]}.{i}.png", random_pixels(i))
        save(tmp_path / "test1" / f"{i}.png", random_pixels(100 + i))
    with pytest.raises(InputError, match="test1: nothing says the class of its images") as error:
        load(tmp_path)
    train = said_words(error.value, "--train").as_posix().rstrip(";")
    assert read_splits(Data(), Source(train=(train,))).class_names == ("cat", "dog")


def test_images_two_levels_below_a_class_are_said(tmp_path):
    pets(tmp_path)
    class_folders(tmp_path / "cat", {"kittens": 5}, seed=700)
    splits = load(tmp_path)
    assert classes_of(splits)["train"].count("cat") + classes_of(splits)["test"].count("cat") > 12
    assert splits.notices[-1] == (
        "5 images lie in folders within class folders, for instance cat/kittens/0.png: they are of class 'cat'"
    )


def test_a_folder_without_images_two_levels_down(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        load(tmp_path / "missing")


def test_names_that_begin_with_the_class(tmp_path):
    for number, name in enumerate(("cat.{}.png", "great dane_{}.png", "dog ({}).png")):
        for i in range(12):
            save(tmp_path / "pets" / name.format(i), random_pixels(100 * number + i))
    splits = load(tmp_path / "pets")
    assert splits.class_names == ("cat", "dog", "great dane")
    assert all(
        splits.class_names[split.labels[i]] in path for split in splits for i, path in enumerate(split.paths)
    )
    assert "in pets by the beginnings of its files' names: 36 images" in splits.layout
    (tmp_path / "whole").mkdir()
    (tmp_path / "pets").rename(tmp_path / "whole" / "train")
    assert load(tmp_path / "whole").class_names == ("cat", "dog", "great dane")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("IMG_{}.png", "DSC_{}.png"), "what cameras write"),
        (("cat_{}.png", "image{}.png"), "one is a class, the other none"),
        (("train_{}.png", "test_{}.png"), "splits"),
        (("cat_{}.png",), "one class only"),
        (("cat_{}.png", "dog_{}x.png"), "no number at the end"),
    ],
)
def test_beginnings_of_names_that_say_no_class_are_refused(tmp_path, names, why):
    for number, name in enumerate(names):
        for i in range(6):
            save(tmp_path / name.format(i), random_pixels(100 * number + i))
    refused(tmp_path, "so their class is not known", "--labels FILE")
