"""CUB-200-2011: four lists that agree, or are refused."""

from pathlib import Path

import pytest
from images import load, paths_of, random_pixels, refused, save

BIRDS = ("001.Albatross", "002.Auklet")


def birds(root: Path) -> Path:
    """Two classes with 8 pictures for training and 4 for testing."""
    lists: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    for k, name in enumerate(BIRDS, 1):
        for i in range(12):
            number = 12 * (k - 1) + i + 1
            save(root / "images" / name / f"a_{i}.png", random_pixels(number))
            lists["images"].append(f"{number} {name}/a_{i}.png")
            lists["image_class_labels"].append(f"{number} {k}")
            lists["train_test_split"].append(f"{number} {int(i < 8)}")
    lists["classes"] = [f"{k} {name}" for k, name in enumerate(BIRDS, 1)]
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_classes_and_splits(tmp_path):
    splits = load(birds(tmp_path), validation_fraction=0.25)
    assert splits.class_names == BIRDS
    assert [len(split) for split in splits] == [12, 4, 8]
    assert {int(Path(path).stem[2:]) for path in paths_of(splits)["test"]} == {8, 9, 10, 11}


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("train_test_split", "3 1\n", "", "its images are not those of images.txt"),
        ("train_test_split", "\n3 1", "\n3 7", "image 3 is of class 1 and split 7"),
        ("image_class_labels", "\n3 1", "\n3 9", "image 3 is of class 9"),
        ("images", "3 001", "2 001", "2 stands there twice"),
        ("classes", "1 001.Albatross", "1 Black Albatross", "has 3 values, expected 2"),
    ],
)
def test_lists_that_disagree_are_refused(name, old, new, message, tmp_path):
    path = birds(tmp_path) / f"{name}.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    refused(tmp_path, message)


def test_without_its_splits_it_is_class_folders_and_that_is_said(tmp_path):
    (birds(tmp_path) / "train_test_split.txt").unlink()
    splits = load(tmp_path)
    assert splits.class_names == BIRDS
    (said,) = [notice for notice in splits.notices if "train_test_split.txt" in notice]
    assert "images.txt is there, but not train_test_split.txt" in said
    assert "test drawn from training" in splits.layout


def test_its_lists_are_counted_as_lists(tmp_path):
    splits = load(birds(tmp_path))
    assert [(entry.ending, entry.files, entry.reason) for entry in splits.reading.left_out] == [
        (".txt", 4, "a list of labels")
    ]
