import os
from pathlib import Path

import numpy as np
import pytest
from images import all_paths, class_folders, classes_of, load, random_pixels, refused, save, with_splits

from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.recipe import Data


@pytest.fixture
def split_folders(tmp_path: Path) -> Path:
    return with_splits(tmp_path / "photos")


def test_digits_come_with_the_program():
    splits = load("digits")
    assert splits.class_names == tuple("0123456789")
    assert splits.image_shape == (1, 8, 8)
    assert sum(map(len, splits)) == 1797
    assert splits.train.pixels.max() == 255


def test_class_folders_are_split_by_class(tmp_path):
    splits = load(class_folders(tmp_path, {"dog": 20, "cat": 40}))
    assert splits.class_names == ("cat", "dog")
    assert classes_of(splits)["test"] == ["cat"] * 4 + ["dog"] * 2
    assert classes_of(splits)["validation"] == ["cat"] * 4 + ["dog"] * 2
    assert len(splits.train) == 48


def test_every_image_keeps_its_pixels_label_and_path(tmp_path):
    splits = load(class_folders(tmp_path, {"a": 12, "b": 12}))
    for split in splits:
        for position, path in enumerate(split.paths):
            name, file = path.split("/")
            seed = 1000 * "ab".index(name) + int(file.removesuffix(".png"))
            np.testing.assert_array_equal(split.images(np.array([position]))[0], random_pixels(seed))
            assert splits.class_names[split.labels[position]] == name


def test_split_folders_under_their_usual_names(split_folders):
    splits = load(split_folders)
    assert classes_of(splits) == {
        "train": ["cat"] * 6 + ["dog"] * 6,
        "validation": ["cat"] * 2 + ["dog"] * 2,
        "test": ["cat"] * 3 + ["dog"] * 3,
    }
    assert splits.validation.paths[0] == "val/cat/0.png"


def test_validation_is_taken_from_training_when_only_a_test_folder_is_there(split_folders):
    whole = load(split_folders)
    (split_folders / "val").rename(split_folders.parent / "elsewhere")
    splits = load(split_folders, validation_fraction=0.3)
    assert splits.test.paths == whole.test.paths
    assert len(splits.validation) == 4
    assert sorted([*splits.train.paths, *splits.validation.paths]) == sorted(whole.train.paths)


def test_test_is_taken_from_training_and_never_from_validation(split_folders):
    whole = load(split_folders)
    (split_folders / "testing").rename(split_folders.parent / "elsewhere")
    splits = load(split_folders)
    assert splits.validation.paths == whole.validation.paths
    assert sorted([*splits.train.paths, *splits.test.paths]) == sorted(whole.train.paths)


def test_several_folders_for_a_split(tmp_path):
    for number in range(1, 5):
        class_folders(tmp_path / f"train{number}", {"a": number + 1, "b": 2}, seed=10 * number)
    folders = [str(tmp_path / f"train{number}") for number in (1, 3, 4, 2)]
    splits = read_splits(
        Data(), Source(train=tuple(folders[:3]), validation=(folders[3],), test=(folders[0],))
    )
    assert splits.train.folders == (4, 6, 7)
    assert splits.train.paths[:2] == ["train1/a/0.png", "train1/a/1.png"]
    assert splits.validation.folders == (5,)


def test_numbered_training_folders_are_one_split(tmp_path):
    for name in ("train1", "train2", "train10", "test"):
        class_folders(tmp_path / name, {"a": 3, "b": 3}, seed=len(name))
    splits = load(tmp_path)
    assert splits.train.paths[-1].startswith("train10/")
    assert sum(splits.train.folders) == len(splits.train)


def test_class_order_is_training_s_and_other_splits_are_mapped_onto_it(tmp_path):
    class_folders(tmp_path / "train", {"a": 3, "b": 3, "c": 3})
    class_folders(tmp_path / "val", {"c": 2}, seed=50)
    class_folders(tmp_path / "test", {"b": 2, "c": 1}, seed=60)
    splits = load(tmp_path)
    assert splits.class_names == ("a", "b", "c")
    assert splits.validation.labels.tolist() == [2, 2]
    assert splits.test.labels.tolist() == [1, 1, 2]


def test_classes_named_by_numbers_are_in_the_order_of_the_numbers(tmp_path):
    assert load(class_folders(tmp_path, {"10": 3, "9": 3, "1": 3})).class_names == ("1", "9", "10")


def test_classes_called_like_splits_are_classes_when_they_hold_images(tmp_path):
    assert load(class_folders(tmp_path, {"train": 4, "car": 4, "test": 4})).class_names == (
        "car",
        "test",
        "train",
    )


def test_folders_below_a_class_belong_to_it(tmp_path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    save(tmp_path / "a" / "more" / "and more" / "x.png", random_pixels(9))
    assert "a/more/and more/x.png" in all_paths(load(tmp_path))


def test_litter_and_other_files_are_passed_over(tmp_path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    class_folders(tmp_path / "__MACOSX", {"a": 1})
    class_folders(tmp_path / ".git", {"a": 1})
    for name in (".DS_Store", "a/Thumbs.db", "a/._1.png", "a/notes.txt", "README"):
        (tmp_path / name).write_bytes(b"x")
    splits = load(tmp_path)
    assert sum(map(len, splits)) == 6
    assert not splits.bad_files


def test_odd_names(tmp_path):
    class_folders(tmp_path, {"žluťoučký kůň": 3, "b [x] 100%": 3})
    save(tmp_path / "žluťoučký kůň" / "IMG 🐎 (1).PNG.png", random_pixels(9))
    odd = tmp_path / "b [x] 100%"
    (odd / "0.png").rename(odd / os.fsdecode(b"\xff\xfe.png"))
    splits = load(tmp_path)
    paths = all_paths(splits)
    assert len(paths) == 7
    assert "žluťoučký kůň/IMG 🐎 (1).PNG.png" in paths
    assert "b [x] 100%/\\xff\\xfe.png" in paths
    assert not splits.bad_files


def test_links_are_followed_but_not_in_circles(tmp_path):
    class_folders(tmp_path / "real", {"a": 3})
    root = class_folders(tmp_path / "root", {"b": 3})
    (root / "a").symlink_to(tmp_path / "real" / "a")
    (root / "b" / "up").symlink_to(root)
    (tmp_path / "real" / "a" / "other").symlink_to(root / "b")
    splits = load(root)
    assert splits.class_names == ("a", "b")
    assert any("a/other/" in path for path in all_paths(splits))


def test_a_link_to_nothing_and_a_pipe_are_bad_files(tmp_path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    bad = load(tmp_path, bad_files_limit=0.5).bad_files
    assert [file.path for file in bad] == ["a/gone.png", "b/pipe.png"]


def test_no_such_folder(tmp_path):
    refused(tmp_path / "nowhere", "nowhere", "no such folder", "Give the path")


def test_a_file_that_is_no_source(tmp_path):
    refused(save(tmp_path / "a.png", random_pixels(1)), "a.png", "Expected a folder")


def test_empty_folder(tmp_path):
    refused(tmp_path, str(tmp_path), "no images", "one folder for each class")


def test_a_split_without_an_image(tmp_path):
    images, labels = np.zeros((9, 8, 8), np.uint8), np.arange(9) % 3
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images[:0], y_test=labels[:0])
    refused(tmp_path / "a.npz", "its test split (a.npz:x_test) holds no images")
    np.savez(tmp_path / "b.npz", images=images[:0], labels=labels[:0])
    refused(tmp_path / "b.npz", "b.npz: it holds no images")


def test_only_other_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.svg").write_bytes(b"x")
    (tmp_path / "a" / "y.txt").write_bytes(b"x")
    refused(tmp_path, "only 2 files of other kinds", ".svg")


def test_one_class_only(tmp_path):
    refused(class_folders(tmp_path, {"cat": 5}), "only one class", "'cat'", "at least two")


def test_an_empty_class_folder(tmp_path):
    class_folders(tmp_path, {"cat": 5, "dog": 5, "emu": 0})
    (tmp_path / "emu" / "x.txt").write_bytes(b"")
    refused(tmp_path, str(tmp_path / "emu"), "holds no images", ".txt", "remove it")


def test_an_empty_class_folder_of_a_split(split_folders):
    (split_folders / "val" / "emu").mkdir()
    refused(split_folders, str(split_folders / "val" / "emu"), "holds no images")


def test_an_empty_split_folder(split_folders):
    (split_folders / "dev").mkdir()
    refused(split_folders, "dev", "holds no images")


def test_images_directly_in_the_root(tmp_path):
    class_folders(tmp_path, {"cat": 5, "dog": 5})
    save(tmp_path / "stray.png", random_pixels(3))
    refused(tmp_path, str(tmp_path), "1 image outside", "stray.png", "one folder for each class")


def test_images_directly_in_a_split(split_folders):
    save(split_folders / "testing" / "stray.png", random_pixels(3))
    refused(split_folders, "testing", "directly", "stray.png")


def test_only_images_in_the_root(tmp_path):
    save(tmp_path / "stray.png", random_pixels(3))
    refused(tmp_path, "it holds 1 image outside of class folders", "stray.png")


def test_a_folder_beside_the_splits_that_is_none(split_folders):
    class_folders(split_folders / "extra", {"cat": 1})
    refused(split_folders, "extra", "no split's folder", "--train")


@pytest.mark.parametrize("split", ["val", "testing"])
def test_classes_that_training_does_not_have(split_folders, split):
    save(split_folders / split / "emu" / "1.png", random_pixels(3))
    refused(split_folders, "emu", "training does not have", "'cat', 'dog'", "Rename")


def test_a_class_too_small_to_be_split(tmp_path):
    refused(class_folders(tmp_path, {"cat": 20, "dog": 2}), "'dog' has 2 images", "at least 3")


def test_a_fraction_of_nothing(tmp_path):
    folder = class_folders(tmp_path, {"cat": 20, "dog": 20})
    refused(folder, "data.validation_fraction=0", "--validation", validation_fraction=0.0)
    refused(folder, "add up to 1.1", validation_fraction=0.6, test_fraction=0.5)


def test_data_and_folders_at_once(tmp_path):
    with pytest.raises(InputError, match="both --data"):
        read_splits(Data(), Source("digits", train=(str(tmp_path),)))
    with pytest.raises(InputError, match="no training images"):
        read_splits(Data(), Source(test=(str(tmp_path),)))


def test_a_training_folder_with_splits_of_its_own(split_folders):
    with pytest.raises(InputError, match=r"split of its own \(train\)"):
        read_splits(Data(), Source(train=(str(split_folders),)))


CIFAR10 = os.environ.get("TENFOLD_CIFAR10", "")


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10, reason="TENFOLD_CIFAR10 does not name the unpacked CIFAR-10 folders")
def test_real_cifar10_folders():
    splits = load(CIFAR10)
    assert len(splits.test) == 10_000
    assert len(splits.train) + len(splits.validation) == 50_000
    assert splits.class_names[0] == "000_airplane"
    rows = np.concatenate([splits.train.rows, splits.validation.rows])
    means = splits.train.pixels[rows].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(means, [125.307, 122.950, 113.865], atol=1e-3)  # the known values
