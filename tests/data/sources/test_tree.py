"""What is no image or class by its name, what tenfold made itself, and what tells two files apart."""

import pytest

from tenfold.core.files import MARK
from tenfold.data.sources.scanning import open_folder
from tenfold.data.sources.tree import SAMPLED_BYTES, is_junk, is_own, sampled_bytes, why_skipped


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".DS_Store", "hidden"),
        ("Thumbs.db", "of a system or tool"),
        ("__MACOSX", "of a system or tool"),
        ("@eaDir", "of a system or tool"),
        ("FOUND.012", "of a system or tool"),
        ("@SynoResource", "of a system or tool"),
        ("run", "made by tenfold"),
    ],
)
def test_what_is_skipped_says_why(name, why):
    assert why_skipped(name) == why
    assert is_junk(name) == (why != "made by tenfold")


def test_a_folder_that_tenfold_made_is_told_by_what_it_holds():
    assert is_own([MARK, "a.png"])
    assert is_own(["recipe.toml", "data.json", "more"])
    assert not is_own(["recipe.toml", "a.png"])
    assert not is_own([])


@pytest.mark.parametrize("size", [0, 100, 3 * SAMPLED_BYTES, 3 * SAMPLED_BYTES + 1, 9000])
def test_the_ends_and_the_middle_of_a_file_are_looked_at(tmp_path, size):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * size)
    for place in {0, size // 2, size - 1} if size else ():
        changed = bytearray(b"a" * size)
        changed[place] = ord("b")
        other.write_bytes(changed)
        assert sampled_bytes([str(one)]) != sampled_bytes([str(other)])
    other.write_bytes(b"a" * size)
    assert sampled_bytes([str(one)]) == sampled_bytes([str(other)])
    assert sampled_bytes([str(tmp_path / "gone")]) == sampled_bytes([])


def test_names_below_a_root_come_with_all_folders_above_them(tmp_path):
    for name in ("b/x.png", "a/deep/y.jpg", "a/deep/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    tree = open_folder(tmp_path)
    assert list(tree.files) == ["a/deep/notes.txt", "a/deep/y.jpg", "b/x.png"]
    assert tree.folders == {"a", "a/deep", "b"}
    assert tree.pictures == ["a/deep/y.jpg", "b/x.png"]
    assert tree.called(["notes.txt", "y.jpg"]) == ["a/deep/notes.txt", "a/deep/y.jpg"]
    assert tree.place("b/x.png") == str(tmp_path / "b" / "x.png")
    assert tree.stem == tmp_path.name
