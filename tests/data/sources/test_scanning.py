"""A folder as a tree of files: links are followed but not in circles, litter is skipped and said."""

import os

import pytest

from tenfold.core.files import MARK
from tenfold.data.formats import Unreadable
from tenfold.data.sources.scanning import open_folder


@pytest.fixture
def folder(tmp_path):
    for name in ("cat/1.png", "cat/.hidden.png", "dog/2.png", "Thumbs.db"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x" * 7)
    return tmp_path / "set"


def test_files_have_their_sizes_and_litter_its_reasons(folder):
    tree = open_folder(folder)
    assert tree.files == {"cat/1.png": 7, "dog/2.png": 7}
    assert sorted(tree.skipped()) == [("Thumbs.db", "of a system or tool"), ("cat/.hidden.png", "hidden")]
    with tree.open("cat/1.png") as file:
        assert file.read() == b"x" * 7


def test_what_tenfold_made_is_skipped_with_the_folders_that_hold_nothing_else(folder):
    for run in ("a", "b", "c"):
        (folder / "runs" / run).mkdir(parents=True)
        (folder / "runs" / run / MARK).touch()
        (folder / "runs" / run / "figure.png").touch()
    tree = open_folder(folder)
    assert set(tree.files) == {"cat/1.png", "dog/2.png"}
    assert tree.folders == {"cat", "dog"}
    skipped = sorted(name for name, reason in tree.skipped() if reason == "made by tenfold")
    assert [name for name in skipped if name.endswith(".png")] == [f"runs/{run}/figure.png" for run in "abc"]


def test_tenfold_s_cache_within_a_source_is_no_part_of_it(folder, monkeypatch):
    monkeypatch.setenv("TENFOLD_CACHE", str(folder / "kept"))
    (folder / "kept" / "packs").mkdir(parents=True)
    (folder / "kept" / "packs" / "a.npz").touch()
    tree = open_folder(folder)
    assert set(tree.files) == {"cat/1.png", "dog/2.png"}
    assert ("kept/packs/a.npz", "made by tenfold") in tree.skipped()


def test_links_are_followed_but_not_around(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "3.png").touch()
    (folder / "eel").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "back").symlink_to(folder)
    assert set(open_folder(folder).files) == {"cat/1.png", "dog/2.png", "eel/3.png"}


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_what_is_no_file_is_unreadable_when_it_comes_to_it(folder):
    (folder / "cat" / "gone.png").symlink_to("nowhere")
    os.mkfifo(folder / "cat" / "pipe.png")
    tree = open_folder(folder)
    assert [tree.files[f"cat/{name}.png"] for name in ("gone", "pipe")] == [-1, -1]
    found = [encoded for _, encoded in tree.encoded(list(tree.files))]
    assert [isinstance(one, Unreadable) for one in found] == [False, True, True, False]
    assert found[0] == str(folder / "cat" / "1.png")


def test_a_stamp_changes_with_every_change(folder):
    stamps = [open_folder(folder).stamp]
    assert open_folder(folder).stamp == stamps[0]
    (folder / "cat" / "1.png").write_bytes(b"y" * 7)
    stamps.append(open_folder(folder).stamp)
    (folder / "cat" / "1.png").rename(folder / "cat" / "3.png")
    stamps.append(open_folder(folder).stamp)
    (folder / "dog" / "2.png").unlink()
    stamps.append(open_folder(folder).stamp)
    assert len(set(stamps)) == 4
