"""A source as the user said it: its paths, where they lie, and where they have moved."""

import pytest

from tenfold.core.errors import InputError
from tenfold.data.source import Moved, Source


def test_paths_are_those_that_were_said_in_the_order_of_the_splits():
    assert Source("pets").paths == ["pets"]
    split = Source(test=("t",), train=("a", "b"))
    assert split.folders == [("train", "a"), ("train", "b"), ("test", "t")]
    assert split.paths == ["a", "b", "t"]


def test_json_holds_what_was_said_and_nothing_that_older_versions_do_not_know():
    assert Source("pets").to_json() == {"data": "pets", "train": [], "validation": [], "test": []}
    said = Source(train=("a", "b"), test=("c",), base="/x", labels="l.csv").to_json()
    assert (said["train"], said["test"], said["base"], said["labels"]) == (["a", "b"], ["c"], "/x", "l.csv")


def test_only_relative_paths_remember_where_they_were_meant_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Source("pets").meant_from_here().base == str(tmp_path)
    absolute = Source(str(tmp_path / "pets"))
    assert absolute.meant_from_here() is absolute
    assert Source(str(tmp_path), labels="l.csv").meant_from_here().base == str(tmp_path)


def test_a_path_is_looked_for_where_it_was_meant_and_then_here(tmp_path, monkeypatch):
    (tmp_path / "home" / "pets").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    source = Source("pets", base=str(tmp_path / "home"))
    assert source.located("pets") == tmp_path / "home" / "pets"
    assert str(source.located("gone")) == "gone"
    assert str(Source("pets").located("pets")) == "pets"


def test_the_home_folder_is_written_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert Source("~/pets").located("~/pets") == tmp_path / "home" / "pets"
    assert str(Source("~no such user/pets").located("~no such user/pets")) == "~no such user/pets"
    (tmp_path / "~").mkdir()
    assert str(Source("~").located("~")) == "~", "a folder of that name"


def test_a_moved_folder_takes_its_table_along(tmp_path):
    old = str(tmp_path / "old")
    within = Source(old, labels=f"{old}/t/l.csv").moved(Moved("/new"))
    assert (within.data, within.labels) == ("/new", "/new/t/l.csv")
    outside = Source(old, labels=str(tmp_path / "l.csv")).moved(Moved("/new"))
    assert outside.labels == str(tmp_path / "l.csv")


def test_folders_of_splits_move_with_the_folder_above_them():
    moved = Source(train=("/old/x/a", "/old/x/b"), test=("/old/t",)).moved(Moved("/new"))
    assert (moved.train, moved.test, moved.validation) == (("/new/x/a", "/new/x/b"), ("/new/t",), ())


@pytest.mark.parametrize("source", [Source(), Source("name")])
def test_what_had_no_folders_is_at_its_new_place(source):
    assert source.moved(Moved("/new")).data == "/new"


def test_the_table_alone_may_have_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    moved = Source("/old", labels="/old/l.csv").moved(Moved(labels="l.csv"))
    assert (moved.data, moved.labels) == ("/old", str(tmp_path / "l.csv"))
    both = Source("/old", labels="/old/l.csv").moved(Moved("/new", "l.csv"))
    assert (both.data, both.labels, both.base) == ("/new", "l.csv", str(tmp_path))
    source = Source("/old")
    assert source.moved(Moved()) is source
    with pytest.raises(
        InputError, match=r"--labels l\.csv: the labels of this run's images came from no table"
    ):
        source.moved(Moved(labels="l.csv"))


def test_places_are_said_where_there_are_any():
    assert Moved("a", "b").said == "a with b"
    assert [bool(Moved()), bool(Moved("a")), bool(Moved(labels="b"))] == [False, True, True]
