"""Every file of a source is used, or left out and why: the account, on sources as people have them."""

import json

import pytest
from accounts import accounted, files_below, left_out
from corpus import (
    JUNK,
    iphone,
    littered,
    pets,
)
from images import all_paths, load
from small import SMALL

pytestmark = pytest.mark.usefixtures("own_cache")


def test_every_file_is_used_or_left_out_and_why(tmp_path):
    iphone(tmp_path)
    splits = load(tmp_path)
    assert accounted(splits) == files_below(tmp_path) == 24 + 8
    unread = "not a picture format that is read"
    assert left_out(splits) == {
        (".txt", unread): 2,
        (".mov", unread): 1,
        (".cr2", unread): 1,
        (".svg", unread): 1,
        (".npy", unread): 1,
        ("", unread): 1,
        (".png", "hidden"): 1,
    }


@pytest.mark.usefixtures("undrawn")
def test_the_account_in_terminal_json_and_data_json(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    iphone(tmp_path / "photos")
    (tmp_path / "photos" / "cat" / "bad.png").write_bytes(b"no picture")
    said = command("inspect", "photos", "--json")
    facts = json.loads(said.out)
    assert {entry["ending"]: entry["files"] for entry in facts["left_out"] if entry["ending"] == ".txt"} == {
        ".txt": 2
    }
    assert [bad["path"] for bad in facts["bad_files"]] == ["cat/bad.png"]
    lines = command("inspect", "photos").out
    assert "understood as 2 classes ('cat', 'dog') in photos: 24 images" in lines
    assert "8 files that gave no image: 2 .txt" in lines
    trained = command(
        *("train", "digits", "--data", "photos", *SMALL, "data.bad_files_limit=1", "--name", "run")
    )
    assert trained.status == 0, trained.err
    assert "8 files that gave no image: 2 .txt" in trained.out + trained.err
    kept = json.loads((tmp_path / "runs" / "run" / "data.json").read_text())
    assert kept["left_out"] == facts["left_out"]
    assert kept["bad_files"] == facts["bad_files"]
    assert kept["layout"] == facts["layout"]


def test_litter_is_neither_class_nor_image(tmp_path):
    littered(tmp_path)
    splits = load(tmp_path)
    assert splits.class_names == ("cat", "dog")
    assert not [path for path in all_paths(splits) if any(name in path for name in JUNK)]
    assert sum(map(len, splits)) == 24
    assert accounted(splits) == files_below(tmp_path) == 24 + 2 * len(JUNK)


def test_litter_in_an_archive(tmp_path):
    from images import packed

    archive = packed(littered(tmp_path / "photos"), tmp_path / "photos.zip")
    splits = load(archive)
    assert splits.class_names == ("cat", "dog")
    assert accounted(splits) == 24 + 2 * len(JUNK)


@pytest.mark.slow
def test_inspecting_a_folder_twice_does_not_take_its_own_pages(tmp_path, command, monkeypatch):
    monkeypatch.chdir(pets(tmp_path))
    first = json.loads(command("inspect", ".", "--json").out)
    assert command("inspect", ".").status in {0, 1}
    trained = command("train", "digits", "--data", ".", *SMALL, "--name", "run")
    assert trained.status == 0, trained.err
    again = json.loads(command("inspect", ".", "--json").out)
    assert again["class_names"] == first["class_names"] == ["cat", "dog"]
    assert again["counts"] == first["counts"]


def test_an_inspection_is_not_drawn_among_the_pictures(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = pets(tmp_path)
    before = sorted(place.rglob("*"))
    for out in (place, place / "cat"):
        refused = command("inspect", place, "--out", out)
        assert refused.status == 2
        assert "it is a folder of the source" in refused.err
    assert sorted(place.rglob("*")) == before
    for _ in range(2):
        assert command("inspect", place, "--out", place / "seen").status in {0, 1}
