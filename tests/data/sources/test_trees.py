"""From a path to the tree of files that lies there, or the words that say what would be one."""

import pytest
from images import class_folders, packed

from tenfold.core.errors import InputError
from tenfold.data.sources.trees import is_source_name, open_tree


def test_a_folder_an_archive_and_a_single_file_are_trees(tmp_path):
    folder = class_folders(tmp_path / "pets", {"cat": 1})
    archive = packed(folder, tmp_path / "pets.zip").rename(tmp_path / "pets.ZIP")
    assert list(open_tree(folder).files) == list(open_tree(archive).files) == ["cat/0.png"]
    assert (open_tree(folder).stem, open_tree(archive).stem) == ("pets", "pets")
    (tmp_path / "a.npz").write_bytes(b"12345")
    tree = open_tree(tmp_path / "a.npz")
    assert (tree.files, tree.folders, list(tree.skipped())) == ({"a.npz": 5}, set(), [])
    assert tree.place("a.npz") == str(tmp_path / "a.npz")
    assert list(tree.encoded(["a.npz"])) == [(0, str(tmp_path / "a.npz"))]
    with tree.open("a.npz") as file:
        assert file.read() == b"12345"


def test_what_is_no_source_is_told_what_would_be_one(tmp_path):
    with pytest.raises(InputError, match=r"gone: there is no such folder or file\. Give the path"):
        open_tree(tmp_path / "gone")
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match=r"a\.doc: a file of this kind is no source"):
        open_tree(tmp_path / "a.doc")


@pytest.mark.parametrize(
    ("word", "is_source"),
    [
        ("a.zip", True),
        ("A.TAR.GZ", True),
        ("x.npz", True),
        ("labels.csv", True),
        ("digits", False),
        ("a.b", False),
    ],
)
def test_a_word_may_end_as_a_source_does(word, is_source):
    assert is_source_name(word) is is_source
