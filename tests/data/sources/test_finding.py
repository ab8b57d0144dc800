"""From a tree of files to its parts: by its tables of labels, or by the reader of its kind."""

import pytest
from images import class_folders

from tenfold.core.errors import InputError
from tenfold.data.sources.finding import file_contents, find_parts, is_label_table, metadata, table_labels
from tenfold.data.sources.scanning import open_folder
from tenfold.recipe import Data


@pytest.fixture
def pets(tmp_path):
    return class_folders(tmp_path / "pets", {"cat": 2, "dog": 2})


def by_path(found) -> dict[str, str]:
    return {path: name for part in found.parts for path, name in zip(part.paths, part.classes, strict=True)}


def test_without_a_table_the_folders_are_the_classes_and_the_rest_is_left_out(pets):
    (pets / "notes.txt").touch()
    found = find_parts(open_folder(pets), Data())
    assert by_path(found) == {f"{name}/{i}.png": name for name in ("cat", "dog") for i in range(2)}
    assert found.unused == [("notes.txt", "not a picture format that is read")]


def test_a_table_of_metadata_says_the_labels(tmp_path, pets):
    flat = tmp_path / "flat"
    (pets / "cat").rename(flat)
    (flat / "metadata.csv").write_text("file_name,label\n0.png,owl\n1.png,ape\n")
    tree = open_folder(flat)
    assert metadata(tree) == ["metadata.csv"]
    assert table_labels(tree) == {"0.png": "owl", "1.png": "ape"}
    found = find_parts(tree, Data())
    assert by_path(found) == {"0.png": "owl", "1.png": "ape"}
    assert found.unused == [("metadata.csv", "the table of labels")]


def test_a_table_without_labels_leaves_the_folders_as_the_classes(pets):
    (pets / "metadata.csv").write_text("file_name,width\ncat/0.png,8\n")
    assert table_labels(open_folder(pets)) == {}
    assert set(by_path(find_parts(open_folder(pets), Data())).values()) == {"cat", "dog"}


def test_a_table_that_contradicts_the_folders_is_refused(pets):
    (pets / "metadata.csv").write_text("file_name,label\ncat/0.png,dog\ndog/0.png,dog\n")
    with pytest.raises(InputError, match=r"it says 'dog' of cat/0\.png, which lies in the folder of 'cat'"):
        find_parts(open_folder(pets), Data())


def test_a_table_of_labels_is_told_from_a_file_of_images(tmp_path, pets):
    (tmp_path / "labels.csv").write_text("file,label\na.png,x\n")
    pixels = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    (tmp_path / "mnist.csv").write_text(f"{pixels}\n{','.join(['1'] * 785)}\n")
    assert is_label_table(tmp_path / "labels.csv")
    assert not is_label_table(tmp_path / "mnist.csv")
    assert not is_label_table(tmp_path / "gone.csv")
    assert not is_label_table(pets)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    assert file_contents(tmp_path / "a") == b"x"
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(InputError, match=f"{path}: cannot be read"):
            file_contents(path)
